import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import type { z } from "zod";
import { BlfError, errorCode, exitCodes } from "../lib/errors.ts";
import { fileError } from "../lib/files.ts";
import { parseJson } from "../lib/json.ts";
import { closest } from "../lib/suggest.ts";
import { readEnvironment } from "./environment.ts";
import { networks } from "./networks.ts";
import { type ConfigFile, configKeys, configSchema, type ParsedConfig } from "./schema.ts";

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
  const parsed = validate(merged, file ? path : "the configuration");
  const sources: LoadedConfig["sources"] = {};
  for (const key of configKeys) {
    if (options.flags && key in options.flags) sources[key] = "flag";
    else if (key in environment) sources[key] = "environment";
    else sources[key] = file && key in file ? "file" : "default";
  }
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
      hint: "Mend the file, or move it away and run `blindference init` again; the keystore is a file of its own.",
      cause: errorCode(error),
    });
  }
}

/** Checks the keys and values. @throws BlfError `CONFIG_UNKNOWN_KEY`, `CONFIG_INVALID` */
export function validate(values: ConfigFile, origin: string): ParsedConfig {
  const result = configSchema.safeParse(values);
  if (result.success) return result.data;
  throw describeIssue(result.error.issues[0]!, origin);
}

function describeIssue(issue: z.core.$ZodIssue, origin: string): BlfError {
  const name = issue.path.join(".");
  if (issue.code === "unrecognized_keys") {
    const key = issue.keys[0]!;
    const suggestion = closest(key, configKeys);
    return new BlfError({
      code: "CONFIG_UNKNOWN_KEY",
      message: `${origin} has the unknown key "${name ? `${name}.` : ""}${key}"`,
      hint: suggestion ? `Did you mean "${suggestion}"?` : "Remove it, or see the configuration table of the README.",
    });
  }
  return new BlfError({
    code: "CONFIG_INVALID",
    message: `${origin}: "${name}" is not valid: ${issue.message}`,
    hint: `Correct "${name}" in config.json or in BLF_${name.toUpperCase().replaceAll(".", "_")}.`,
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

function merge(base: ConfigFile, over: ConfigFile): ConfigFile {
  const engine = base.engine || over.engine ? { engine: { ...base.engine, ...over.engine } } : {};
  return { ...base, ...over, ...engine };
}
