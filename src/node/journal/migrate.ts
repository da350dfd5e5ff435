import type { Database } from "bun:sqlite";
import { BlfError } from "../../lib/errors.ts";
import { migrations } from "./schema.ts";

/** Runs the migrations that this database has not seen, all or none. @throws BlfError `JOURNAL_TOO_NEW` */
export function migrate(db: Database, path: string): void {
  const version = (db.query("PRAGMA user_version").get() as { user_version: number }).user_version;
  if (version > migrations.length)
    throw new BlfError({
      code: "JOURNAL_TOO_NEW",
      message: `The journal ${path} was written by a newer version of blindference`,
      hint: "Use that version or a newer one.",
    });
  if (version === migrations.length) return;
  db.transaction(() => {
    for (const migration of migrations.slice(version)) db.run(migration);
    db.run(`PRAGMA user_version = ${migrations.length}`);
  }).exclusive();
}
