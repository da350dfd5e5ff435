import { Database } from "bun:sqlite";
import { rmSync } from "node:fs";
import { BlfError, errorCode } from "../../lib/errors.ts";
import { fileError } from "../../lib/files.ts";

/**
 * Keeps two processes from writing the same download. The lock is the operating system's, held through SQLite, so it goes with the process.
 * @throws BlfError `PULL_RUNNING`, `FILE_*`
 */
export function lockDownload(path: string): { release(): void } {
  let db: Database | undefined;
  try {
    const opened = new Database(path, { create: true, strict: true });
    db = opened;
    opened.run("PRAGMA journal_mode = MEMORY");
    opened.run("PRAGMA locking_mode = EXCLUSIVE");
    opened.run("BEGIN EXCLUSIVE");
    return {
      release: () => {
        // Removed while it is still held: nobody can hold the removed one and believe to be alone.
        rmSync(path, { force: true });
        opened.close();
      },
    };
  } catch (error) {
    db?.close();
    if (!/^SQLITE_(BUSY|LOCKED)/.test(errorCode(error))) throw fileError("lock", path, error);
    throw new BlfError({
      code: "PULL_RUNNING",
      message: "Another process downloads this model right now",
      hint: "Wait for it, or give this one another --id.",
      retryable: true,
      cause: error,
    });
  }
}
