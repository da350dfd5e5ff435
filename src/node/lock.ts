import { Database } from "bun:sqlite";
import { join } from "node:path";
import { BlfError } from "../lib/errors.ts";

/**
 * Makes this process the only daemon on a data directory. The lock is the operating system's, held through SQLite: it goes
 * with the process, however that ends, so there are no stale lock files.
 * @throws BlfError `NODE_ALREADY_RUNNING`
 */
export function lockDataDirectory(dir: string): { release(): void } {
  const db = new Database(join(dir, "node.lock"), { create: true, strict: true });
  try {
    db.run("PRAGMA journal_mode = DELETE");
    db.run("PRAGMA locking_mode = EXCLUSIVE");
    db.run("BEGIN EXCLUSIVE");
  } catch (error) {
    db.close();
    throw new BlfError({
      code: "NODE_ALREADY_RUNNING",
      message: `Another blindference daemon runs on ${dir}`,
      hint: "Stop it first, or give this one a data directory and a key of its own with BLF_CONFIG_DIR.",
      cause: error,
    });
  }
  return { release: () => db.close() };
}
