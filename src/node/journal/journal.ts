import type { TransactionStore } from "../../chain/transaction-store.ts";
import type { Assignment } from "../../icl/wire.ts";
import type { Clock } from "../../lib/clock.ts";
import { BlfError } from "../../lib/errors.ts";
import { createCommitmentLedger } from "./commitments.ts";
import { withFailpoints } from "./failpoints.ts";
import { columns, fromRow, type JobChange, type JobKey, type JobRecord, type Row } from "./job-record.ts";
import { openDatabase } from "./open-database.ts";
import { assertTransition, finishedStates, type JobState } from "./states.ts";
import { createTransactionTable } from "./transactions.ts";

declare const BLF_TEST_BUILD: boolean | undefined;

export type Journal = {
  /** Writes down an assignment that is about to be claimed. False when this job and role are known already, if only by their commitment. */
  begin(assignment: Assignment): boolean;
  find(key: JobKey): JobRecord | undefined;
  /** Jobs that are neither submitted nor failed, oldest first. */
  unfinished(): JobRecord[];
  /** The newest jobs first. */
  recent(limit: number): JobRecord[];
  /** At most so many jobs whose results were submitted after `time`, and of whose end nothing is known yet, the newest first. */
  undecided(time: number, limit: number): JobRecord[];
  countByState(): Record<string, number>;
  /**
   * Forgets jobs that ended before `time` (milliseconds since the epoch), and their transactions. What this node has committed to is never
   * forgotten. Gives the number of jobs.
   */
  prune(time: number): number;
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

  const journal: Journal = {
    begin: (assignment) => {
      let isNew = false;
      write(true, () => {
        const { changes } = db
          .query(
            `INSERT OR IGNORE INTO jobs (task_id, role, state, model_id, prompt_cid, user_address, created_at, updated_at)
             SELECT ?1, ?2, 'assigned', ?3, ?4, ?5, ?6, ?7
             WHERE NOT EXISTS (SELECT * FROM commitments WHERE task_id = ?1 AND role = ?2)`,
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
    undecided: (time, limit) =>
      (
        db
          .query("SELECT * FROM jobs WHERE state = 'submitted' AND updated_at > ? ORDER BY updated_at DESC LIMIT ?")
          .all(time, limit) as Row[]
      ).map(fromRow),
    countByState: () => {
      const rows = db.query("SELECT state, count(*) AS jobs FROM jobs GROUP BY state").all() as Row[];
      return Object.fromEntries(rows.map((row) => [String(row["state"]), Number(row["jobs"])]));
    },
    prune: (time) => {
      let forgotten = 0;
      write(true, () => {
        const jobs = db.query(`DELETE FROM jobs WHERE state IN (${finished}) AND updated_at < ?`).run(time);
        db.query("DELETE FROM transactions WHERE status != 'pending' AND sent_at < ?").run(time);
        forgotten = jobs.changes;
      });
      return forgotten;
    },
    advance: (key, to, change = {}, { durable = false } = {}) =>
      write(durable, () => {
        const job = find(key);
        if (!job) throw unknownJob(key);
        assertTransition(job.state, to);
        set(key, finishedStates.includes(to) ? { ...change, ...noSecrets } : change, to);
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
  return typeof BLF_TEST_BUILD === "boolean" && BLF_TEST_BUILD ? withFailpoints(journal) : journal;
}

/** What a job that has ended has no use for any more: disk and password together must not open old answers. */
const noSecrets: JobChange = { sealedOutputKey: undefined, sealedEncryptedKey: undefined };

function unknownJob(key: JobKey): BlfError {
  return new BlfError({
    code: "JOURNAL_UNKNOWN_JOB",
    message: `The journal has no ${key.role} job ${key.taskId}`,
    hint: "This is a defect of the node: please report it with the log.",
  });
}
