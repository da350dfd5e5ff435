import { Database } from "bun:sqlite";
import { join } from "node:path";
import { BlfError, errorCode } from "../lib/errors.ts";

/**
 * Makes this process the only daemon on a data directory. The lock is the operating system's, held through SQLite: it goes
 * with the process, however that ends, so there are no stale lock files.
 * @throws BlfError `NODE_ALREADY_RUNNING`, `NODE_LOCK_UNAVAILABLE`
 */
export function lockDataDirectory(dir: string): { release(): void } {
  const path = join(dir, "node.lock");
  let db: Database | undefined;
  try {
    const opened = new Database(path, { create: true, strict: true });
    db = opened;
    opened.run("PRAGMA journal_mode = DELETE");
    opened.run("PRAGMA locking_mode = EXCLUSIVE");
    opened.run("BEGIN EXCLUSIVE");
    return { release: () => opened.close() };
  } catch (error) {
    db?.close();
    const code = errorCode(error);
    throw /^SQLITE_(BUSY|LOCKED)/.test(code) ? alreadyRunning(dir, error) : unavailable(path, code, error);
  }
}

function alreadyRunning(dir: string, cause: unknown): BlfError {
  return new BlfError({
    code: "NODE_ALREADY_RUNNING",
    message: `Another blindference daemon runs on ${dir}`,
    hint: "Stop it first, or give this one a data directory and a key of its own with BLF_CONFIG_DIR.",
    cause,
  });
}

function unavailable(path: string, code: string, cause: unknown): BlfError {
  return new BlfError({
    code: "NODE_LOCK_UNAVAILABLE",
    message: `The lock file ${path} cannot be used (${code})`,
    hint: "Check that the data directory exists and is writable; a damaged lock file may be deleted.",
    cause,
  });
}
