import type { Database } from "bun:sqlite";
import { chmodSync, rmSync } from "node:fs";
import { BlfError } from "../../lib/errors.ts";
import { migrations } from "./schema.ts";

/**
 * Runs the migrations that this database has not seen, all or none. A journal that holds something is copied first, to
 * `<path>.v<version>`.
 * @param steps each brings the database from one version to the next
 * @throws BlfError `JOURNAL_TOO_NEW`
 */
export function migrate(db: Database, path: string, steps: readonly string[] = migrations): void {
  const before = readVersion(db);
  if (before === steps.length) return;
  if (before > steps.length) throw tooNew(path);
  if (before > 0 && path !== ":memory:") copy(db, `${path}.v${before}`);
  db.transaction(() => {
    // Read again under the lock: a command that started at the same moment may have migrated in between.
    const version = readVersion(db);
    if (version > steps.length) throw tooNew(path);
    if (version === steps.length) return;
    for (const step of steps.slice(version)) db.run(step);
    db.run(`PRAGMA user_version = ${steps.length}`);
  }).exclusive();
}

/** What lies there is from a migration that did not come to its end: the journal has gone on since. */
function copy(db: Database, path: string): void {
  rmSync(path, { force: true });
  db.query("VACUUM INTO ?").run(path);
  chmodSync(path, 0o600);
}

function readVersion(db: Database): number {
  return (db.query("PRAGMA user_version").get() as { user_version: number }).user_version;
}

function tooNew(path: string): BlfError {
  return new BlfError({
    code: "JOURNAL_TOO_NEW",
    message: `The journal ${path} was written by a newer version of blindference`,
    hint: "Use that version or a newer one.",
  });
}
