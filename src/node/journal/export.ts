import type { Database } from "bun:sqlite";
import * as z from "zod/mini";
import { latestTime } from "../../lib/clock.ts";
import { BlfError } from "../../lib/errors.ts";
import { parseJson } from "../../lib/json.ts";
import { jsonOrNothing } from "./facts.ts";
import { migrations } from "./schema.ts";
import { jobStates } from "./states.ts";

const count = z.int().check(z.nonnegative());
const unixTime = count.check(z.lte(latestTime));
/** Milliseconds since the epoch. */
const time = count.check(z.lte(latestTime * 1000));
const text = z.string().check(z.maxLength(100_000));
const role = z.enum(["leader", "verifier"]);
const commitment = z.string().check(z.regex(/^[0-9a-f]{64}$/, "must be 64 hex digits"));
const base64 = z.base64();
const hex = z.string().check(z.maxLength(1_000_000), z.regex(/^0x[0-9a-f]*$/i, "must be hexadecimal"));
/** A column that holds JSON. */
const json = (schema: z.ZodMiniType, what: string) =>
  text.check(z.refine((value) => schema.safeParse(jsonOrNothing(value)).success, what));
const timings = json(z.record(z.string(), z.number()), "must be durations by their names, as JSON");
const hashes = json(z.array(hex).check(z.minLength(1)), "must be a list of hashes, as JSON");

/** The tables as they are stored, with bytes in base64. What is secret stays sealed with a key that only the wallet gives. */
const documentSchema = z.strictObject({
  format: z.literal("blindference-journal"),
  /** Version of the tables. */
  version: z.literal(migrations.length),
  nodeAddress: z.string().check(z.regex(/^0x[0-9a-fA-F]{40}$/, "must be an address")),
  exportedAt: z.iso.datetime(),
  jobs: z.array(
    z.strictObject({
      task_id: text,
      role,
      state: z.enum(jobStates),
      model_id: text,
      prompt_cid: text,
      user_address: text,
      claim_deadline: z.nullable(unixTime),
      output_cid: z.nullable(text),
      commitment: z.nullable(commitment),
      verdict: z.nullable(text),
      determinism_class: z.nullable(text),
      sealed_output_key: z.nullable(base64),
      sealed_encrypted_key: z.nullable(base64),
      output_key_tx: z.nullable(hex),
      failure_code: z.nullable(text),
      engine_crashes: count,
      timings,
      created_at: time,
      updated_at: time,
    }),
  ),
  commitments: z.array(z.strictObject({ task_id: text, role, commitment, created_at: time })),
  transactions: z.array(
    z.strictObject({
      purpose: text,
      nonce: count,
      hashes,
      raw: hex,
      status: z.enum(["pending", "succeeded", "reverted"]),
      sent_at: time,
    }),
  ),
  facts: z.array(z.strictObject({ name: text, value: text })),
});

export type JournalDocument = z.infer<typeof documentSchema>;

export const journalTables = ["jobs", "commitments", "transactions", "facts"] as const;

/** Columns that hold bytes. */
export const byteColumns: readonly string[] = ["sealed_output_key", "sealed_encrypted_key"];

/** Everything that the journal knows, read at one moment. @throws BlfError `JOURNAL_CORRUPT` when it holds what no node writes */
export function exportJournal(db: Database, nodeAddress: string, now: Date): JournalDocument {
  const tables = db.transaction(() => Object.fromEntries(journalTables.map((table) => [table, rowsOf(db, table)])))();
  const head = {
    format: "blindference-journal",
    version: migrations.length,
    nodeAddress,
    exportedAt: now.toISOString(),
  };
  const { data, error } = documentSchema.safeParse({ ...head, ...tables });
  if (data) return data;
  throw new BlfError({
    code: "JOURNAL_CORRUPT",
    message: `The journal is damaged: ${reasonOf(error!)}`,
    hint: "Restore it from a copy: it guards this node against committing twice. Do not just delete it.",
    cause: error,
  });
}

function rowsOf(db: Database, table: string): Record<string, unknown>[] {
  const rows = db.query(`SELECT * FROM ${table} ORDER BY 1, 2`).all() as Record<string, unknown>[];
  return rows.map((row) =>
    Object.fromEntries(
      Object.entries(row).map(([name, value]) => [
        name,
        value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value,
      ]),
    ),
  );
}

/** @throws BlfError `JOURNAL_EXPORT_INVALID` */
export function parseJournalDocument(content: string): JournalDocument {
  let value: unknown;
  try {
    value = parseJson(content);
  } catch (error) {
    throw invalid("it is not JSON", error);
  }
  const { data, error } = documentSchema.safeParse(value);
  if (data) return data;
  throw invalid(reasonOf(error!), error);
}

function reasonOf({ issues: [issue] }: z.core.$ZodError): string {
  const place = issue!.path.map(String).join(".");
  return `${place === "" ? "" : `${place}: `}${issue!.message}`;
}

function invalid(reason: string, cause: unknown): BlfError {
  return new BlfError({
    code: "JOURNAL_EXPORT_INVALID",
    message: `This is no journal that \`journal export\` of this version wrote: ${reason}`,
    hint: "Export it again, with the same version of blindference on both machines.",
    cause,
  });
}
