import type { Database } from "bun:sqlite";
import { BlfError } from "../../lib/errors.ts";
import { migrations } from "./schema.ts";

/** Runs the migrations that this database has not seen, all or none. @throws BlfError `JOURNAL_TOO_NEW` */
export function migrate(db: Database, path: string): void {
  if (readVersion(db) === migrations.length) return;
  db.transaction(() => {
    // Read again under the lock: a command that started at the same moment may have migrated in between.
    const version = readVersion(db);
    if (version > migrations.length) throw tooNew(path);
    if (version === migrations.length) return;
    for (const migration of migrations.slice(version)) db.run(migration);
    db.run(`PRAGMA user_version = ${migrations.length}`);
  }).exclusive();
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
