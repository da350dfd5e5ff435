import type { Database } from "bun:sqlite";
import { BlfError } from "../../lib/errors.ts";
import { byteColumns, exportJournal, type JournalDocument, journalTables } from "./export.ts";

/**
 * Takes over a journal of another machine, all of it or nothing. It must know at least what is known here: no commitment may be lost, and
 * no job may go back to an earlier state.
 * @throws BlfError `JOURNAL_IMPORT_OTHER_NODE`, `JOURNAL_IMPORT_CONFLICT`, `JOURNAL_IMPORT_OLDER`
 */
export function importJournal(db: Database, document: JournalDocument, nodeAddress: string): void {
  if (document.nodeAddress.toLowerCase() !== nodeAddress.toLowerCase()) throw otherNode(document.nodeAddress);
  // Changes and their promise must be on the disk before this node acts on them.
  db.run("PRAGMA synchronous = FULL");
  db.transaction(() => {
    assertNewer(document, exportJournal(db, nodeAddress, new Date(0)));
    for (const table of journalTables) for (const row of document[table]) replaceRow(db, table, row);
  }).exclusive();
}

function assertNewer(document: JournalDocument, local: JournalDocument): void {
  const idOf = (row: { task_id: string; role: string }) => `${row.role}:${row.task_id}`;
  const commitments = new Map(document.commitments.map((row) => [idOf(row), row.commitment]));
  for (const row of local.commitments) {
    const theirs = commitments.get(idOf(row));
    if (theirs === undefined) throw older(`commitment to job ${row.task_id}`);
    if (theirs !== row.commitment) throw conflict(row.task_id);
  }
  const jobs = new Map(document.jobs.map((row) => [idOf(row), row]));
  for (const mine of local.jobs) {
    const theirs = jobs.get(idOf(mine));
    const goesOn = theirs && (theirs.updated_at > mine.updated_at || Bun.deepEquals(theirs, mine));
    if (!goesOn) throw older(`state of job ${mine.task_id}`);
  }
  const transactions = new Map(document.transactions.map((row) => [row.purpose, row]));
  for (const mine of local.transactions) {
    const theirs = transactions.get(mine.purpose);
    if (!theirs || !goesOnFrom(mine, theirs)) throw older(`transaction for ${mine.purpose}`);
  }
}

type TransactionRow = JournalDocument["transactions"][number];

/** A transaction is sent again with higher fees, and in the end it has a receipt; nothing else ever happens to it. */
function goesOnFrom(mine: TransactionRow, theirs: TransactionRow): boolean {
  if (theirs.sent_at !== mine.sent_at) return theirs.sent_at > mine.sent_at;
  return mine.status === "pending" ? theirs.raw === mine.raw : Bun.deepEquals(theirs, mine);
}

function replaceRow(db: Database, table: string, row: Record<string, string | number | null>): void {
  const names = Object.keys(row);
  const values = names.map((name) => {
    const value = row[name]!;
    return byteColumns.includes(name) && typeof value === "string" ? Buffer.from(value, "base64") : value;
  });
  const marks = names.map(() => "?").join(", ");
  db.query(`INSERT OR REPLACE INTO ${table} (${names.join(", ")}) VALUES (${marks})`).run(...values);
}

function otherNode(address: string): BlfError {
  return new BlfError({
    code: "JOURNAL_IMPORT_OTHER_NODE",
    message: `This is the journal of another node, ${address}`,
    hint: "Import it into the data directory that holds that node's keystore.",
  });
}

function older(what: string): BlfError {
  return new BlfError({
    code: "JOURNAL_IMPORT_OLDER",
    message: `The file goes back in time: it does not know the last ${what}, which is in the journal here`,
    hint: "Nothing was changed. Export again where the node ran last, after it was stopped.",
  });
}

function conflict(taskId: string): BlfError {
  return new BlfError({
    code: "JOURNAL_IMPORT_CONFLICT",
    message: `The file and the journal here hold different commitments to job ${taskId}`,
    hint: "Nothing was changed. The same key has run in two places: stop one of them for good.",
  });
}
