import { BlfError } from "../lib/errors.ts";
import { parseJson } from "../lib/json.ts";
import { closest } from "../lib/suggest.ts";
import { type ConfigFile, configGroups, configKeys } from "./schema.ts";
import { secretVariables } from "./secrets.ts";

/** How a value is written as text. */
export type Kind = "text" | "number" | "boolean" | "list" | "json";

const numbers = new Set([
  "tier",
  "attestation_expiry",
  "cofhe_chain_id",
  "max_concurrent_jobs",
  "doppelganger_wait_s",
  "journal_retention_days",
  "max_fee_gwei",
  "status_port",
]);
const booleans = new Set(["zdr_compliant", "registered_on_chain", "skip_output_key_storage"]);
const lists = new Set([
  "supported_model_ids",
  "custom_backends",
  "rpc_fallback_urls",
  "ipfs_gateways",
  "mock_model_ids",
]);

/** Keys within the groups that are reached over HTTP, and how they are written. */
const services: Record<string, Record<string, Kind>> = {
  vllm: {
    base_url: "text",
    models: "json",
    max_tokens: "number",
    timeout_s: "number",
    max_concurrent: "number",
    allow_http: "boolean",
    send_top_k: "boolean",
  },
  groq: { base_url: "text", models: "list" },
  gemini: { base_url: "text", models: "list" },
};

/** Variables that are not keys of the configuration but belong to the program. */
const named = ["BLF_CONFIG_DIR", ...secretVariables];
const others = [...named, "BLF_FAULT"];

/** Every variable that sets a key, with the key as a path. `PROMPT_KEY_STORE_ADDRESS` is the original's second name. */
export function variables(): Record<string, { path: string[]; kind: Kind }> {
  const table: Record<string, { path: string[]; kind: Kind }> = {};
  for (const key of configKeys) {
    if ((configGroups as string[]).includes(key)) continue;
    const kind: Kind = numbers.has(key)
      ? "number"
      : booleans.has(key)
        ? "boolean"
        : lists.has(key)
          ? "list"
          : key === "models"
            ? "json"
            : "text";
    table[`BLF_${key.toUpperCase()}`] = { path: [key], kind };
  }
  table["BLF_ENGINE_ISOLATION"] = { path: ["engine", "isolation"], kind: "text" };
  table["BLF_ENGINE_THREADS"] = { path: ["engine", "threads"], kind: "number" };
  table["BLF_ENGINE_SEQUENCES"] = { path: ["engine", "sequences"], kind: "number" };
  table["BLF_ENGINE_IDLE_UNLOAD_MINUTES"] = { path: ["engine", "idle_unload_minutes"], kind: "number" };
  table["BLF_ENGINE_VERIFY_OUTPUT"] = { path: ["engine", "verify_output"], kind: "boolean" };
  for (const [group, kinds] of Object.entries(services))
    for (const [key, kind] of Object.entries(kinds))
      table[`BLF_${group.toUpperCase()}_${key.toUpperCase()}`] = { path: [group, key], kind };
  table["PROMPT_KEY_STORE_ADDRESS"] = { path: ["prompt_key_store_address"], kind: "text" };
  return table;
}

/**
 * What the environment says about the configuration. Empty variables count as unset.
 * @throws BlfError `CONFIG_UNKNOWN_VARIABLE`, `CONFIG_INVALID`
 */
export function readEnvironment(env: Record<string, string | undefined>): ConfigFile {
  const table = variables();
  const values: Record<string, unknown> = {};
  const names = Object.keys(env).filter((name) => name.startsWith("BLF_") || name === "PROMPT_KEY_STORE_ADDRESS");
  for (const name of names.sort().reverse()) {
    const text = env[name];
    if (text === undefined || text === "" || others.includes(name)) continue;
    const entry = table[name];
    if (!entry) throw unknownVariable(name, [...Object.keys(table), ...named]);
    const value = parseValue(name, text, entry.kind, `Correct or unset ${name}.`);
    const [key, inner] = entry.path as [string, string?];
    values[key] = inner ? { ...(values[key] as object | undefined), [inner]: value } : value;
  }
  return values as ConfigFile;
}

/**
 * The value that a text stands for, in a variable of the environment or on the command line.
 * @throws BlfError `CONFIG_INVALID`, which calls it `name`
 */
export function parseValue(name: string, text: string, kind: Kind, hint: string): unknown {
  const invalid = (expected: string) =>
    new BlfError({ code: "CONFIG_INVALID", message: `${name} must be ${expected}`, hint });
  switch (kind) {
    case "text":
      return text;
    case "number":
      if (!/^\d+(\.\d+)?$/.test(text)) throw invalid("a number");
      return Number(text);
    case "boolean":
      if (/^(true|1|yes)$/i.test(text)) return true;
      if (/^(false|0|no)$/i.test(text)) return false;
      throw invalid("true or false");
    case "list":
      return text
        .split(",")
        .map((item) => item.trim())
        .filter((item) => item !== "");
    case "json":
      try {
        return parseJson(text);
      } catch {
        throw invalid("JSON");
      }
  }
}

function unknownVariable(name: string, known: string[]): BlfError {
  const suggestion = closest(name, known);
  return new BlfError({
    code: "CONFIG_UNKNOWN_VARIABLE",
    message: `The environment has the unknown variable ${name}`,
    hint: suggestion ? `Did you mean ${suggestion}?` : `Unset it: unset ${name}`,
  });
}
