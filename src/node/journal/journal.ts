import { Database } from "bun:sqlite";
import { chmodSync } from "node:fs";
import type { Address, Hex } from "viem";
import type { TransactionStore } from "../../chain/transaction-store.ts";
import type { Assignment, Role, Verdict } from "../../icl/wire.ts";
import type { Clock } from "../../lib/clock.ts";
import { BlfError, errorCode } from "../../lib/errors.ts";
import { createCommitmentLedger } from "./commitments.ts";
import { migrate } from "./migrate.ts";
import { assertTransition, finishedStates, type JobState } from "./states.ts";
import { createTransactionTable } from "./transactions.ts";

export type JobKey = { taskId: string; role: Role };

/** What the journal knows of one job. Times are milliseconds since the epoch. */
export type JobRecord = JobKey & {
  state: JobState;
  modelId: string;
  promptCid: string;
  userAddress: Address;
  /** Unix seconds; undefined before the claim. */
  claimDeadline: number | undefined;
  outputCid: string | undefined;
  commitment: string | undefined;
  verdict: Verdict | undefined;
  determinismClass: string | undefined;
  /** The output key, sealed with a key derived from the wallet. */
  sealedOutputKey: Uint8Array | undefined;
  /** The CoFHE ciphertexts of that key, sealed likewise. */
  sealedEncryptedKey: Uint8Array | undefined;
  outputKeyTx: Hex | undefined;
  failureCode: string | undefined;
  engineCrashes: number;
  /** Duration of each step, in milliseconds. */
  timings: Record<string, number>;
  createdAt: number;
  updatedAt: number;
};

export type JobChange = Partial<
  Pick<
    JobRecord,
    | "claimDeadline"
    | "outputCid"
    | "commitment"
    | "verdict"
    | "determinismClass"
    | "sealedOutputKey"
    | "sealedEncryptedKey"
    | "outputKeyTx"
    | "failureCode"
    | "engineCrashes"
    | "timings"
  >
>;

export type Journal = {
  /** Writes down an assignment that is about to be claimed. False when this job and role are known already. */
  begin(assignment: Assignment): boolean;
  find(key: JobKey): JobRecord | undefined;
  /** Jobs that are neither submitted nor failed, oldest first. */
  unfinished(): JobRecord[];
  /** The newest jobs first. */
  recent(limit: number): JobRecord[];
  countByState(): Record<string, number>;
  /** Moves a job on; `durable` waits until it is on the disk, as before every act that cannot be undone. */
  advance(key: JobKey, to: JobState, change?: JobChange, options?: { durable?: boolean }): void;
  /** Changes fields without moving the job on. */
  update(key: JobKey, change: JobChange, options?: { durable?: boolean }): void;
  /**
   * Promises a commitment. The same one again is fine; a different one never is, however often the node crashes.
   * @throws BlfError `COMMITMENT_CONFLICT`
   */
  commit(key: JobKey, commitment: string): void;
  commitments(): (JobKey & { commitment: string; createdAt: number })[];
  transactions: TransactionStore;
  fact(name: string): string | undefined;
  setFact(name: string, value: string): void;
  close(): void;
};

type Row = Record<string, string | number | Uint8Array | null>;

const columns: Record<keyof JobChange, string> = {
  claimDeadline: "claim_deadline",
  outputCid: "output_cid",
  commitment: "commitment",
  verdict: "verdict",
  determinismClass: "determinism_class",
  sealedOutputKey: "sealed_output_key",
  sealedEncryptedKey: "sealed_encrypted_key",
  outputKeyTx: "output_key_tx",
  failureCode: "failure_code",
  engineCrashes: "engine_crashes",
  timings: "timings",
};

/**
 * Opens the journal, creates it, or brings it up to date.
 * @param path of the database file, or ":memory:"
 * @throws BlfError `JOURNAL_CORRUPT`, `JOURNAL_TOO_NEW`, `JOURNAL_UNAVAILABLE`
 */
export function openJournal(path: string, clock: Clock): Journal {
  const db = openDatabase(path);
  const setDurable = (durable: boolean) => db.run(`PRAGMA synchronous = ${durable ? "FULL" : "NORMAL"}`);
  const commitments = createCommitmentLedger(db, clock);
  const finished = finishedStates.map((state) => `'${state}'`).join(", ");

  const write = (durable: boolean, action: () => void) => {
    setDurable(durable);
    try {
      db.transaction(action).immediate();
    } finally {
      if (durable) setDurable(false);
    }
  };

  const find = (key: JobKey): JobRecord | undefined => {
    const row = db.query("SELECT * FROM jobs WHERE task_id = ? AND role = ?").get(key.taskId, key.role) as Row | null;
    return row ? fromRow(row) : undefined;
  };

  const set = (key: JobKey, change: JobChange, state?: JobState) => {
    const entries = Object.entries(change) as [keyof JobChange, unknown][];
    const names = entries.map(([name]) => `${columns[name]} = ?`);
    const values = entries.map(([name, value]) => (name === "timings" ? JSON.stringify(value) : (value ?? null)));
    if (state) {
      names.push("state = ?");
      values.push(state);
    }
    names.push("updated_at = ?");
    values.push(clock.now());
    const sql = `UPDATE jobs SET ${names.join(", ")} WHERE task_id = ? AND role = ?`;
    db.query(sql).run(...(values as (string | number | Uint8Array | null)[]), key.taskId, key.role);
  };

  return {
    begin: (assignment) => {
      let isNew = false;
      write(true, () => {
        const { changes } = db
          .query(
            `INSERT OR IGNORE INTO jobs (task_id, role, state, model_id, prompt_cid, user_address, created_at, updated_at)
             VALUES (?, ?, 'assigned', ?, ?, ?, ?, ?)`,
          )
          .run(
            assignment.jobId,
            assignment.role,
            assignment.modelId,
            assignment.promptCid,
            assignment.userAddress,
            clock.now(),
            clock.now(),
          );
        isNew = changes > 0;
      });
      return isNew;
    },
    find,
    unfinished: () =>
      (db.query(`SELECT * FROM jobs WHERE state NOT IN (${finished}) ORDER BY created_at`).all() as Row[]).map(fromRow),
    recent: (limit) =>
      (db.query("SELECT * FROM jobs ORDER BY created_at DESC, task_id LIMIT ?").all(limit) as Row[]).map(fromRow),
    countByState: () => {
      const rows = db.query("SELECT state, count(*) AS jobs FROM jobs GROUP BY state").all() as Row[];
      return Object.fromEntries(rows.map((row) => [String(row["state"]), Number(row["jobs"])]));
    },
    advance: (key, to, change = {}, { durable = false } = {}) =>
      write(durable, () => {
        const job = find(key);
        if (!job) throw unknownJob(key);
        assertTransition(job.state, to);
        set(key, change, to);
      }),
    update: (key, change, { durable = false } = {}) => write(durable, () => set(key, change)),
    commit: (key, commitment) => write(true, () => commitments.insert(key, commitment)),
    commitments: commitments.all,
    transactions: createTransactionTable(db, (action) => write(true, action)),
    fact: (name) => {
      const row = db.query("SELECT value FROM facts WHERE name = ?").get(name) as Row | null;
      return row ? String(row["value"]) : undefined;
    },
    setFact: (name, value) =>
      write(true, () => {
        db.query("INSERT INTO facts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value").run(
          name,
          value,
        );
      }),
    close: () => db.close(),
  };
}

function openDatabase(path: string): Database {
  let db: Database | undefined;
  try {
    db = new Database(path, { create: true, strict: true });
    if (path !== ":memory:") chmodSync(path, 0o600);
    // First of all, since other commands may be opening the same file at this moment.
    db.run("PRAGMA busy_timeout = 5000");
    db.run("PRAGMA journal_mode = WAL");
    db.run("PRAGMA foreign_keys = ON");
    const check = db.query("PRAGMA quick_check").get() as Row | null;
    if (check?.["quick_check"] !== "ok") throw new Error("quick_check");
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

function unknownJob(key: JobKey): BlfError {
  return new BlfError({
    code: "JOURNAL_UNKNOWN_JOB",
    message: `The journal has no ${key.role} job ${key.taskId}`,
    hint: "This is a defect of the node: please report it with the log.",
  });
}

function fromRow(row: Row): JobRecord {
  const text = (name: string) => (row[name] === null ? undefined : String(row[name]));
  const bytes = (name: string) => (row[name] === null ? undefined : (row[name] as Uint8Array));
  return {
    taskId: String(row["task_id"]),
    role: row["role"] as Role,
    state: row["state"] as JobState,
    modelId: String(row["model_id"]),
    promptCid: String(row["prompt_cid"]),
    userAddress: row["user_address"] as Address,
    claimDeadline: row["claim_deadline"] === null ? undefined : Number(row["claim_deadline"]),
    outputCid: text("output_cid"),
    commitment: text("commitment"),
    verdict: text("verdict") as Verdict | undefined,
    determinismClass: text("determinism_class"),
    sealedOutputKey: bytes("sealed_output_key"),
    sealedEncryptedKey: bytes("sealed_encrypted_key"),
    outputKeyTx: text("output_key_tx") as Hex | undefined,
    failureCode: text("failure_code"),
    engineCrashes: Number(row["engine_crashes"]),
    timings: JSON.parse(String(row["timings"])) as Record<string, number>,
    createdAt: Number(row["created_at"]),
    updatedAt: Number(row["updated_at"]),
  };
}
