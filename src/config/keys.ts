import { BlfError, exitCodes } from "../lib/errors.ts";
import { safeOrigin } from "../lib/http.ts";
import { closest } from "../lib/suggest.ts";
import { keyDescriptions } from "./descriptions.ts";
import { type Kind, parseValue, readEnvironment, variables } from "./environment.ts";
import { type Config, type ConfigSource, configPath, dataDirectory, readConfigFile } from "./load.ts";
import { updateConfigFile } from "./save.ts";
import type { ConfigFile } from "./schema.ts";

/** One key of the configuration as people name it: `rpc_url`, `engine.threads`. */
export type KeyInfo = { name: string; path: string[]; variable: string; kind: Kind; meaning: string };

/** All keys, in the order of the descriptions. */
export function listKeys(): KeyInfo[] {
  const byName = new Map<string, KeyInfo>();
  for (const [variable, { path, kind }] of Object.entries(variables())) {
    const name = path.join(".");
    if (!byName.has(name)) byName.set(name, { name, path, variable, kind, meaning: meaningOf(name) });
  }
  const order = Object.keys(keyDescriptions);
  return [...byName.values()].sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
}

function meaningOf(name: string): string {
  return (keyDescriptions as Record<string, string>)[name] ?? "";
}

/** @throws BlfError `CONFIG_UNKNOWN_KEY` (usage) */
export function findKey(name: string): KeyInfo {
  const keys = listKeys();
  const found = keys.find((key) => key.name === name);
  if (found) return found;
  const suggestion = closest(
    name,
    keys.map((key) => key.name),
  );
  throw new BlfError({
    code: "CONFIG_UNKNOWN_KEY",
    message: `There is no key "${name}"`,
    hint: suggestion ? `Did you mean "${suggestion}"?` : "Run `blindference config list` to see the keys.",
    exitCode: exitCodes.usage,
  });
}

/** The value that counts, after defaults, file and environment. */
export function valueIn(config: Config, key: KeyInfo): unknown {
  return at(config, key.path);
}

/** Says where the value of a key comes from. The file and the environment are read once. */
export function sourceFinder(env: Record<string, string | undefined>): (key: KeyInfo) => ConfigSource {
  const file = readConfigFile(configPath(dataDirectory(env)));
  const environment = readEnvironment(env);
  return ({ path }) => {
    if (at(environment, path) !== undefined) return "environment";
    return at(file, path) === undefined ? "default" : "file";
  };
}

/**
 * Sets one key in config.json, from the same text that its variable would hold. Nothing is written unless the whole file is valid.
 * @throws BlfError `CONFIG_INVALID` (usage), `CONFIG_*` for the file, `FILE_*`
 */
export function setKey(dir: string, key: KeyInfo, text: string): unknown {
  const hint = `Run \`blindference config get ${key.name}\` to see how its value is written.`;
  const value = parsed(() => parseValue(`"${key.name}"`, text, key.kind, hint));
  const [first, inner] = key.path as [keyof ConfigFile, string?];
  const path = configPath(dir);
  const old = inner ? (readConfigFile(path)?.[first] as object | undefined) : undefined;
  const change = { [first]: inner ? { ...old, [inner]: value } : value } as ConfigFile;
  try {
    updateConfigFile(dir, change);
  } catch (error) {
    throw blameValue(error, key, path);
  }
  return value;
}

/** A value in one line, as `config set` takes it. */
export function valueText(value: unknown): string {
  if (Array.isArray(value)) return value.join(",");
  return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
}

/** Paths and queries of URLs often hold an API key: those that could are left out. */
export function withoutUrlSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutUrlSecrets);
  if (typeof value !== "string" || !/^https?:\/\//.test(value) || !URL.canParse(value)) return value;
  const url = new URL(value);
  const revealing = url.username !== "" || url.password !== "" || url.search !== "" || /[^/]{16,}/.test(url.pathname);
  return revealing ? `${safeOrigin(value)}/…` : value;
}

function at(values: unknown, path: string[]): unknown {
  return path.reduce<unknown>((value, name) => (value as Record<string, unknown> | undefined)?.[name], values);
}

function parsed(parse: () => unknown): unknown {
  try {
    return parse();
  } catch (error) {
    if (error instanceof BlfError) throw asUsage(error.message, error.hint);
    throw error;
  }
}

/** What was typed is at fault, not the file, as long as the message is about this key. */
function blameValue(error: unknown, key: KeyInfo, path: string): unknown {
  if (!(error instanceof BlfError)) return error;
  const { code, message, hint } = error;
  if (code === "CONFIG_INVALID" && message.startsWith(`"${key.name}`))
    return asUsage(message.replace(` of ${path} `, " "), "Nothing was written: give another value.");
  const stray = /has the unknown key ("[^"]*")/.exec(message)?.[1];
  if (code !== "CONFIG_UNKNOWN_KEY" || !stray?.startsWith(`"${key.name}.`)) return error;
  const hasSuggestion = hint.startsWith("Did you mean");
  return asUsage(`There is no key ${stray}`, hasSuggestion ? hint : "Nothing was written: leave it out.");
}

function asUsage(message: string, hint: string): BlfError {
  return new BlfError({ code: "CONFIG_INVALID", message, hint, exitCode: exitCodes.usage });
}
