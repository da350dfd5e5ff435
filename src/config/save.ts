import { ensurePrivateDirectory, writeFileAtomic } from "../lib/files.ts";
import { stringifyJson } from "../lib/json.ts";
import { configPath, readConfigFile, validate } from "./load.ts";
import type { ConfigFile } from "./schema.ts";

/**
 * Changes some keys of config.json and leaves the others as they stand in the file, so that what the environment
 * overrides today is not written down for ever.
 * @throws BlfError `CONFIG_*`, `FILE_*`
 */
export function updateConfigFile(dir: string, changes: ConfigFile): void {
  const path = configPath(dir);
  const values = { ...readConfigFile(path), ...changes };
  validate(values, path);
  ensurePrivateDirectory(dir);
  writeFileAtomic(path, `${stringifyJson(values, 2)}\n`);
}
