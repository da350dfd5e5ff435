import { Database } from "bun:sqlite";
import type { StoredTransaction, TransactionStore } from "../../src/chain/transaction-store.ts";
import { createState, type Job, type State, taskKey } from "../../src/devnet/coordinator/state.ts";

/** What a coordinator keeps over a restart, as the network's own does in its database (PROTOCOL.md 17, row 30). */
export type CoordinatorStore = {
  /** Without the challenges and signatures, which only a running coordinator remembers; `forget` leaves the nodes out as well. */
  load(options?: { forgetNodes?: boolean }): State;
  /** Writes down what has changed since it was called last. */
  save(state: State): void;
  transactions: TransactionStore;
};

type Row = { key: string; value: string };

export function openCoordinatorStore(path: string): CoordinatorStore {
  const db = new Database(path, { create: true });
  db.run("PRAGMA journal_mode = WAL");
  // A killed process loses nothing that the system has taken; only the machine itself would.
  db.run("PRAGMA synchronous = OFF");
  db.run("CREATE TABLE IF NOT EXISTS entries (kind TEXT, key TEXT, value TEXT, PRIMARY KEY (kind, key)) WITHOUT ROWID");
  const written = new Map<string, string>();
  const insert = db.query("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)");
  const write = (kind: string, key: string, value: unknown) => {
    const text = encode(value);
    const id = `${kind} ${key}`;
    if (written.get(id) === text) return;
    insert.run(kind, key, text);
    written.set(id, text);
  };
  /** Jobs of which nothing will change any more. */
  const settled = new Set<string>();
  return {
    load: ({ forgetNodes = false } = {}) => {
      const state = createState();
      if (!forgetNodes) fill(state.nodes, readAll(db, "node"));
      fill(state.accounts, readAll(db, "account"));
      for (const { value } of readAll(db, "job")) addJob(state, decode(value) as Job);
      for (const { key } of readAll(db, "credited")) state.creditedTransactions.add(key);
      return state;
    },
    save: (state) =>
      db.transaction(() => {
        for (const [address, node] of state.nodes) write("node", address, node);
        for (const [address, account] of state.accounts) write("account", address, account);
        for (const hash of state.creditedTransactions) write("credited", hash, true);
        for (const job of state.jobs.values()) {
          if (settled.has(job.requestId)) continue;
          write("job", job.requestId, job);
          if (!job.settled) continue;
          settled.add(job.requestId);
          written.delete(`job ${job.requestId}`);
        }
      })(),
    transactions: createTransactions(db),
  };
}

/** The jobs of a coordinator's store, oldest first, while the coordinator itself may be running. */
export function readJobs(path: string): Job[] {
  const db = new Database(path, { readonly: true });
  try {
    const jobs = readAll(db, "job").map(({ value }) => decode(value) as Job);
    return jobs.sort((a, b) => a.createdAt - b.createdAt);
  } finally {
    db.close();
  }
}

function createTransactions(db: Database): TransactionStore {
  const decoded = (text: string) => decode(text) as StoredTransaction;
  return {
    find: (purpose) => {
      const row = db
        .query("SELECT value FROM entries WHERE kind = 'transaction' AND key = ?")
        .get(purpose) as Row | null;
      return row ? decoded(row.value) : undefined;
    },
    save: (transaction) =>
      void db
        .query("INSERT OR REPLACE INTO entries VALUES ('transaction', ?, ?)")
        .run(transaction.purpose, encode(transaction)),
    pending: () =>
      readAll(db, "transaction")
        .map(({ value }) => decoded(value))
        .filter(({ status }) => status === "pending")
        .sort((a, b) => a.nonce - b.nonce),
  };
}

function readAll(db: Database, kind: string): Row[] {
  return db.query("SELECT key, value FROM entries WHERE kind = ?").all(kind) as Row[];
}

function addJob(state: State, job: Job): void {
  state.jobs.set(job.requestId, job);
  state.jobsByKey.set(taskKey(job.taskId), job);
}

function fill<V>(map: Map<`0x${string}`, V>, rows: Row[]): void {
  for (const { key, value } of rows) map.set(key as `0x${string}`, decode(value) as V);
}

function encode(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => (typeof item === "bigint" ? { $bigint: String(item) } : item));
}

function decode(text: string): unknown {
  return JSON.parse(text, (_key, item: unknown) =>
    typeof item === "object" && item !== null && "$bigint" in item ? BigInt(String(item.$bigint)) : item,
  );
}
