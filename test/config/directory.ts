import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A data directory of its own, with a config.json when a value or a text is given. */
export function dataDirectory(config?: unknown) {
  const dir = mkdtempSync(join(tmpdir(), "blf-config-"));
  const path = join(dir, "config.json");
  const write = (value: unknown) => writeFileSync(path, typeof value === "string" ? value : JSON.stringify(value));
  if (config !== undefined) write(config);
  return {
    dir,
    path,
    env: { BLF_CONFIG_DIR: dir },
    text: () => readFileSync(path, "utf8"),
    [Symbol.dispose]: () => rmSync(dir, { recursive: true }),
  };
}
