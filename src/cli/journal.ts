import { existsSync, readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import * as z from "zod/mini";
import { BlfError } from "../lib/errors.ts";
import { fileError, writeFileAtomic } from "../lib/files.ts";
import { exportJournal, type JournalDocument, parseJournalDocument } from "../node/journal/export.ts";
import { importJournal } from "../node/journal/import.ts";
import { openDatabase } from "../node/journal/open-database.ts";
import { lockDataDirectory } from "../node/lock.ts";
import { journalPath, openSession, requireNodeAddress } from "./session.ts";
import { count } from "./ui/format.ts";
import { printJson, printTable } from "./ui/io.ts";

type Options = { json?: boolean };

const number = z.int().check(z.nonnegative());
const summary = z.strictObject({
  ok: z.literal(true),
  file: z.string(),
  nodeAddress: z.string(),
  exportedAt: z.iso.datetime(),
  jobs: number,
  commitments: number,
  transactions: number,
});

/** The documents of `--json`, by command. */
export const outputs: Record<string, z.ZodMiniType> = { "journal export": summary, "journal import": summary };

/** Nobody has done so many jobs. */
const largestFile = 512 * 1024 * 1024;

export function register(program: Command): void {
  const journal = program
    .command("journal")
    .description("Move this node to another machine without losing what it has committed to.");
  journal
    .command("export <file>")
    .description("Write all jobs, commitments and transactions to a new file. The node must be stopped.")
    .option("--json", "print one JSON document")
    .action(runExport);
  journal
    .command("import <file>")
    .description(
      "Take over the file of another machine. It must know all that is known here: nothing goes back in time.",
    )
    .option("--json", "print one JSON document")
    .action(runImport);
}

async function runExport(file: string, options: Options): Promise<void> {
  const { config } = openSession();
  const nodeAddress = requireNodeAddress(config);
  const path = resolve(file);
  const source = journalPath(config);
  if (!existsSync(source)) throw noJournal(source);
  if (existsSync(path)) throw fileError("write", path, Object.assign(new Error(), { code: "EEXIST" }));
  const lock = lockDataDirectory(config.dir);
  try {
    const db = openDatabase(source);
    try {
      const document = exportJournal(db, nodeAddress, new Date());
      writeFileAtomic(path, `${JSON.stringify(document, null, 2)}\n`);
      const note = "do not start this node here again: two nodes with one key get slashed";
      report(path, document, options, note);
    } finally {
      db.close();
    }
  } finally {
    lock.release();
  }
}

async function runImport(file: string, options: Options): Promise<void> {
  const { config } = openSession();
  const nodeAddress = requireNodeAddress(config);
  const path = resolve(file);
  const document = parseJournalDocument(readText(path));
  const lock = lockDataDirectory(config.dir);
  try {
    const db = openDatabase(journalPath(config));
    try {
      importJournal(db, document, nodeAddress);
    } finally {
      db.close();
    }
  } finally {
    lock.release();
  }
  report(path, document, options, "unfinished jobs go on when the node starts, while their claims last");
}

function report(file: string, document: JournalDocument, { json }: Options, note: string): void {
  const { nodeAddress, exportedAt, jobs, commitments, transactions } = document;
  const counts = { jobs: jobs.length, commitments: commitments.length, transactions: transactions.length };
  if (json) printJson({ ok: true, file, nodeAddress, exportedAt, ...counts });
  else
    printTable([
      ["file", file],
      ["node", nodeAddress],
      ["exported", exportedAt],
      [
        "holds",
        [
          count(jobs.length, "job"),
          count(commitments.length, "commitment"),
          count(transactions.length, "transaction"),
        ].join(", "),
      ],
      ["note", note],
    ]);
}

function readText(path: string): string {
  try {
    if (statSync(path).size > largestFile) throw Object.assign(new Error(), { code: "EFBIG" });
    return readFileSync(path, "utf8");
  } catch (error) {
    throw fileError("read", path, error);
  }
}

function noJournal(path: string): BlfError {
  return new BlfError({
    code: "JOURNAL_MISSING",
    message: `There is no journal at ${path}`,
    hint: "This node has not run yet: there is nothing to take along but keystore.json and config.json.",
  });
}
