import { Database } from "bun:sqlite";
import { chmodSync } from "node:fs";
import { BlfError, errorCode } from "../../lib/errors.ts";
import { migrate } from "./migrate.ts";

/** How long another process may keep this one from the file. */
const busyTimeoutMs = 5000;

/**
 * Opens the journal's file, creates it, or brings it up to date.
 * @param path of the database file, or ":memory:"
 * @throws BlfError `JOURNAL_CORRUPT`, `JOURNAL_TOO_NEW`, `JOURNAL_UNAVAILABLE`
 */
export function openDatabase(path: string): Database {
  let db: Database | undefined;
  try {
    db = new Database(path, { create: true, strict: true });
    if (path !== ":memory:") chmodSync(path, 0o600);
    // First of all, since other commands may be opening the same file at this moment.
    db.run(`PRAGMA busy_timeout = ${busyTimeoutMs}`);
    writeAhead(db);
    db.run("PRAGMA foreign_keys = ON");
    // What is deleted or overwritten is gone from the file too.
    db.run("PRAGMA secure_delete = ON");
    const check = db.query("PRAGMA quick_check").get() as { quick_check: string } | null;
    if (check?.quick_check !== "ok") throw new Error("quick_check");
    migrate(db, path);
    return db;
  } catch (error) {
    db?.close();
    if (error instanceof BlfError) throw error;
    const code = errorCode(error);
    const corrupt = /SQLITE_(CORRUPT|NOTADB)/.test(code) || (error as Error).message === "quick_check";
    throw new BlfError({
      code: corrupt ? "JOURNAL_CORRUPT" : "JOURNAL_UNAVAILABLE",
      message: corrupt ? `The journal ${path} is damaged` : `The journal ${path} cannot be opened (${code})`,
      hint: corrupt
        ? "Restore it from a copy: it guards this node against committing twice. Do not just delete it."
        : "Check the permissions and the free space of the data directory.",
      cause: error,
    });
  }
}

/** SQLite does not wait, whatever its time-out, for another process that is writing to a file which is not in this mode yet: a new one. */
function writeAhead(db: Database): void {
  for (const giveUpAt = performance.now() + busyTimeoutMs; ; Bun.sleepSync(5)) {
    try {
      db.run("PRAGMA journal_mode = WAL");
      return;
    } catch (error) {
      if (!/^SQLITE_BUSY/.test(errorCode(error)) || performance.now() >= giveUpAt) throw error;
    }
  }
}
