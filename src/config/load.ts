import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import type * as z from "zod/mini";
import { BlfError, errorCode, exitCodes } from "../lib/errors.ts";
import { fileError } from "../lib/files.ts";
import { parseJson } from "../lib/json.ts";
import { printable } from "../lib/printable.ts";
import { closest } from "../lib/suggest.ts";
import { readEnvironment } from "./environment.ts";
import { networks } from "./networks.ts";
import {
  type ConfigFile,
  type ConfigGroup,
  configGroups,
  configKeys,
  configSchema,
  keysAt,
  type ParsedConfig,
} from "./schema.ts";

export type ConfigSource = "default" | "file" | "environment" | "flag";

export type Config = ParsedConfig & {
  /** Where config.json, the keystore and the journal live. */
  dir: string;
  chain_id: number;
  explorer: string | undefined;
};

export type LoadedConfig = { config: Config; sources: Partial<Record<string, ConfigSource>>; exists: boolean };

export type LoadOptions = {
  env: Record<string, string | undefined>;
  /** Values given on the command line; they win over everything else. */
  flags?: ConfigFile;
};

/** The data directory: `BLF_CONFIG_DIR`, or `~/.blindference`. */
export function dataDirectory(env: Record<string, string | undefined>): string {
  return expandPath(env["BLF_CONFIG_DIR"] || join(homedir(), ".blindference"));
}

export function configPath(dir: string): string {
  return join(dir, "config.json");
}

/**
 * The configuration: defaults < config.json < `BLF_*` < flags.
 * @throws BlfError `CONFIG_NOT_JSON`, `CONFIG_UNKNOWN_KEY`, `CONFIG_INVALID`, `FILE_*`
 */
export function loadConfig(options: LoadOptions): LoadedConfig {
  const dir = dataDirectory(options.env);
  const path = configPath(dir);
  const file = readConfigFile(path);
  const environment = readEnvironment(options.env);
  const merged = merge(merge(file ?? {}, environment), options.flags ?? {});
  const sourceOf = (key: string): ConfigSource => {
    if (options.flags && key in options.flags) return "flag";
    if (key in environment) return "environment";
    return file && key in file ? "file" : "default";
  };
  const parsed = validate(merged, path, sourceOf);
  const sources = Object.fromEntries(configKeys.map((key) => [key, sourceOf(key)]));
  return { config: complete(parsed, dir), sources, exists: file !== undefined };
}

/** As loadConfig, for commands that need a node. @throws BlfError `NOT_INITIALISED` */
export function requireConfig(options: LoadOptions): LoadedConfig {
  const loaded = loadConfig(options);
  if (loaded.exists) return loaded;
  throw new BlfError({
    code: "NOT_INITIALISED",
    message: `There is no node in ${loaded.config.dir}`,
    hint: "Run `blindference init`, or set BLF_CONFIG_DIR to the directory of an existing node.",
    exitCode: exitCodes.notInitialised,
  });
}

/** The keys as they stand in config.json, or undefined when there is no such file. */
export function readConfigFile(path: string): ConfigFile | undefined {
  if (!existsSync(path)) return undefined;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw fileError("read", path, error);
  }
  try {
    const value = parseJson(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error("not an object");
    return value as ConfigFile;
  } catch (error) {
    throw new BlfError({
      code: "CONFIG_NOT_JSON",
      message: `${path} is not a JSON object`,
      hint: 'Mend the file; at worst replace it with {"node_address": "0x…"}, since everything else has a default.',
      cause: errorCode(error),
    });
  }
}

/** Checks the keys and values, which are those of the file at `path` unless `sourceOf` says otherwise. @throws BlfError `CONFIG_UNKNOWN_KEY`, `CONFIG_INVALID` */
export function validate(
  values: ConfigFile,
  path: string,
  sourceOf: (key: string) => ConfigSource = () => "file",
): ParsedConfig {
  // Making code for a schema that is used once takes longer than walking it.
  const result = configSchema.safeParse(values, { jitless: true });
  if (result.success) return result.data;
  throw describeIssue(result.error.issues[0]!, path, sourceOf);
}

function describeIssue(issue: z.core.$ZodIssue, path: string, sourceOf: (key: string) => ConfigSource): BlfError {
  const name = printable(issue.path.join("."));
  if (issue.code === "unrecognized_keys") {
    const key = issue.keys[0]!;
    const suggestion = closest(key, keysAt(issue.path));
    return new BlfError({
      code: "CONFIG_UNKNOWN_KEY",
      message: `${path} has the unknown key "${name ? `${name}.` : ""}${printable(key)}"`,
      hint: suggestion ? `Did you mean "${suggestion}"?` : "Remove it, or see the configuration table of the README.",
    });
  }
  const key = String(issue.path[0]);
  const [, inner] = issue.path;
  const variable = isGroup(key) && inner !== undefined ? `${key}_${String(inner)}` : key;
  const places = {
    flag: ["the command line", `Correct the option --${key.replaceAll("_", "-")}.`],
    environment: ["the environment", `Correct or unset BLF_${variable.toUpperCase()}.`],
    file: [path, `Correct it in the file, or set BLF_${variable.toUpperCase()}.`],
    default: ["the defaults", `Set BLF_${variable.toUpperCase()}.`],
  } as const;
  const source = sourceOf(key);
  const [place, hint] = places[source];
  return new BlfError({
    code: "CONFIG_INVALID",
    message: `"${name}" of ${place} is not valid: ${issue.message}`,
    hint,
    exitCode: source === "flag" ? exitCodes.usage : exitCodes.failed,
  });
}

/** Fills what follows from other keys: the network's addresses, and paths below the data directory. */
function complete(parsed: ParsedConfig, dir: string): Config {
  const network = networks[parsed.network]!;
  return {
    ...parsed,
    dir,
    chain_id: parsed.cofhe_chain_id || network.chainId,
    explorer: network.explorer,
    icl_endpoint: parsed.icl_endpoint || network.icl_endpoint,
    payment_service_url: parsed.payment_service_url || network.payment_service_url,
    rpc_url: parsed.rpc_url || parsed.fhenix_rpc || network.rpc_url,
    keystore_path: parsed.keystore_path ? expandPath(parsed.keystore_path, dir) : join(dir, "keystore.json"),
    model_cache_dir: parsed.model_cache_dir ? expandPath(parsed.model_cache_dir, dir) : join(dir, "models"),
    blind_token_address: parsed.blind_token_address || network.blind_token_address,
    staking_address: parsed.staking_address || network.staking_address,
    node_registry_address: parsed.node_registry_address || network.node_registry_address,
    prompt_key_store_address: parsed.prompt_key_store_address || network.prompt_key_store_address,
    reward_accumulator_address: parsed.reward_accumulator_address || network.reward_accumulator_address,
    payment_treasury_address: parsed.payment_treasury_address || network.payment_treasury_address,
  };
}

/** `~` becomes the home directory; a relative path is taken from `base`. */
export function expandPath(path: string, base = process.cwd()): string {
  const expanded = path === "~" || path.startsWith("~/") ? join(homedir(), path.slice(1)) : path;
  return isAbsolute(expanded) ? expanded : resolve(base, expanded);
}

/** The fee cap in wei. */
export function maxFeePerGas(config: Config): bigint {
  return BigInt(Math.round(config.max_fee_gwei * 1e9));
}

function isGroup(key: string): key is ConfigGroup {
  return (configGroups as string[]).includes(key);
}

/** Groups are merged key by key, so that a variable changes one of them and leaves the file's others alone. */
function merge(base: ConfigFile, over: ConfigFile): ConfigFile {
  const merged: Record<string, unknown> = { ...base, ...over };
  for (const group of configGroups)
    if (isObject(base[group]) && isObject(over[group])) merged[group] = { ...base[group], ...over[group] };
  return merged as ConfigFile;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
