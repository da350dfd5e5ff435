import { Database } from "bun:sqlite";
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../../src/lib/clock.ts";
import { errorCode } from "../../../src/lib/errors.ts";
import { exportJournal, parseJournalDocument } from "../../../src/node/journal/export.ts";
import { importJournal } from "../../../src/node/journal/import.ts";
import { type Journal, openJournal } from "../../../src/node/journal/journal.ts";
import { migrate } from "../../../src/node/journal/migrate.ts";
import { openDatabase } from "../../../src/node/journal/open-database.ts";
import { migrations } from "../../../src/node/journal/schema.ts";
import { assignment, commitmentA, commitmentB, pathTo } from "./fixtures.ts";

const root = mkdtempSync(join(tmpdir(), "blindference-transfer-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const node = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
let now = 1_700_000_000_000;
const clock: Clock = { now: () => now++, sleep: () => Promise.reject(new Error("not here")) };
let number = 0;
let path: string;
beforeEach(() => {
  path = join(root, `${number++}.db`);
});

function write<T>(file: string, action: (journal: Journal) => T): T {
  const journal = openJournal(file, clock);
  try {
    return action(journal);
  } finally {
    journal.close();
  }
}

function withDatabase<T>(file: string, action: (db: Database) => T): T {
  const db = openDatabase(file);
  try {
    return action(db);
  } finally {
    db.close();
  }
}

const take = (file: string) => JSON.stringify(withDatabase(file, (db) => exportJournal(db, node, new Date(now))));
const give = (file: string, text: string, address = node) =>
  withDatabase(file, (db) => importJournal(db, parseJournalDocument(text), address));

function codeOf(action: () => unknown): string | undefined {
  try {
    action();
  } catch (error) {
    return errorCode(error);
  }
}

const key = (taskId: string) => ({ taskId, role: "leader" as const });

/** A job that has committed and not submitted, with every kind of value in its row. */
function fill(journal: Journal): void {
  journal.begin(assignment("job-1"));
  for (const state of pathTo["key-stored"])
    journal.advance(key("job-1"), state, {
      claimDeadline: 1_700_000_300,
      outputCid: "bafkreioutput",
      commitment: commitmentA,
      sealedOutputKey: Uint8Array.of(0, 255, 7),
      timings: { generate: 12.5 },
    });
  journal.commit(key("job-1"), commitmentA);
  journal.advance(key("job-1"), "committed");
  journal.transactions.save({
    purpose: "store-key:1",
    nonce: 3,
    hashes: ["0xaa"],
    raw: "0x02",
    status: "pending",
    sentAt: clock.now(),
  });
  journal.setFact("last-on-chain-heartbeat", "1700000000");
}

/** A document with something else in the first row of a table. */
function withRow(document: Record<string, unknown>, table: string, change: object) {
  const [first, ...rest] = document[table] as object[];
  return { ...document, [table]: [{ ...first, ...change }, ...rest] };
}

describe("a journal on another machine", () => {
  test("knows all that the first one knew, and goes on from there", () => {
    write(path, fill);
    const other = `${path}.other`;
    give(other, take(path));
    const [before, after] = [path, other].map((file) =>
      write(file, (journal) => ({
        jobs: journal.recent(10),
        unfinished: journal.unfinished(),
        commitments: journal.commitments(),
        transaction: journal.transactions.find("store-key:1"),
        fact: journal.fact("last-on-chain-heartbeat"),
      })),
    );
    expect(after).toEqual(before!);
    expect(after!.unfinished[0]!.sealedOutputKey).toEqual(Uint8Array.of(0, 255, 7));
    write(other, (journal) => {
      expect(codeOf(() => journal.commit(key("job-1"), commitmentB))).toBe("COMMITMENT_CONFLICT");
      journal.advance(key("job-1"), "submitted");
    });
  });

  test("may be brought again, and later with more", () => {
    write(path, fill);
    const other = `${path}.other`;
    give(other, take(path));
    give(other, take(path));
    write(path, (journal) => journal.advance(key("job-1"), "submitted"));
    give(other, take(path));
    expect(write(other, (journal) => journal.find(key("job-1"))!.state)).toBe("submitted");
  });

  test.each<[string, (journal: Journal) => void]>([
    ["a job's state", (journal) => journal.advance(key("job-1"), "submitted")],
    ["a new job", (journal) => void journal.begin(assignment("job-2"))],
    ["a new commitment", (journal) => journal.commit(key("job-2"), commitmentB)],
    [
      "a receipt",
      (journal) => {
        const earlier = journal.transactions.find("store-key:1")!;
        journal.transactions.save({ ...earlier, status: "succeeded" });
      },
    ],
    [
      "a transaction that was replaced",
      (journal) => {
        const earlier = journal.transactions.find("store-key:1")!;
        journal.transactions.save({ ...earlier, hashes: ["0xbb"], sentAt: clock.now() });
      },
    ],
  ])("never goes back in time: %s is kept", (_what, progress) => {
    write(path, fill);
    const old = take(path);
    write(path, progress);
    const before = take(path);
    expect(codeOf(() => give(path, old))).toBe("JOURNAL_IMPORT_OLDER");
    const [mine, untouched] = [take(path), before].map((text) => ({ ...JSON.parse(text), exportedAt: "" }));
    expect(mine).toEqual(untouched);
  });

  test("is not taken over from a node that committed to something else", () => {
    write(path, (journal) => journal.commit(key("job-1"), commitmentA));
    const other = `${path}.other`;
    write(other, (journal) => journal.commit(key("job-1"), commitmentB));
    expect(codeOf(() => give(other, take(path)))).toBe("JOURNAL_IMPORT_CONFLICT");
  });

  test("is not taken over from another node", () => {
    write(path, fill);
    const stranger = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";
    expect(codeOf(() => give(`${path}.other`, take(path), stranger))).toBe("JOURNAL_IMPORT_OTHER_NODE");
  });

  test.each<[string, (document: Record<string, unknown>) => unknown]>([
    ["no JSON", () => "{"],
    ["another format", (document) => ({ ...document, format: "something" })],
    ["another version", (document) => ({ ...document, version: 99 })],
    ["a table is missing", ({ commitments: _, ...document }) => document],
    [
      "a commitment that is none",
      (document) => ({ ...document, commitments: [{ task_id: "1", role: "leader", commitment: "x", created_at: 1 }] }),
    ],
    [
      "a state that there is not",
      (document) => ({ ...document, jobs: [{ ...(document["jobs"] as object[])[0], state: "paid" }] }),
    ],
    ["durations that are none", (document) => withRow(document, "jobs", { timings: "[1" })],
    ["durations of another kind", (document) => withRow(document, "jobs", { timings: '{"generate":"long"}' })],
    ["a time after the last day", (document) => withRow(document, "jobs", { created_at: 8.64e15 + 1 })],
    ["a deadline after the last day", (document) => withRow(document, "jobs", { claim_deadline: 8.64e12 + 1 })],
    ["hashes that are no list", (document) => withRow(document, "transactions", { hashes: "0xaa" })],
    ["hashes that are none", (document) => withRow(document, "transactions", { hashes: '["the first"]' })],
    ["no hash", (document) => withRow(document, "transactions", { hashes: "[]" })],
    ["a transaction that is none", (document) => withRow(document, "transactions", { raw: "what was sent" })],
    ["a column that there is not", (document) => ({ ...document, facts: [{ name: "a", value: "b", "c) --": 1 }] })],
  ])("is refused in words when the file is damaged: %s", (_what, damage) => {
    write(path, fill);
    const damaged = damage(JSON.parse(take(path)) as Record<string, unknown>);
    const text = typeof damaged === "string" ? damaged : JSON.stringify(damaged);
    expect(codeOf(() => parseJournalDocument(text))).toBe("JOURNAL_EXPORT_INVALID");
  });
});

test("a journal that holds what no node writes is not exported", () => {
  write(path, fill);
  withDatabase(path, (db) => db.run("UPDATE jobs SET timings = 'long'"));
  expect(codeOf(() => take(path))).toBe("JOURNAL_CORRUPT");
});

describe("pruning", () => {
  test("forgets what ended before the time, and keeps what is unfinished or was promised", () => {
    write(path, (journal) => {
      fill(journal);
      journal.begin(assignment("failed"));
      journal.advance(key("failed"), "failed", { failureCode: "X" });
      journal.transactions.save({
        purpose: "old",
        nonce: 4,
        hashes: [],
        raw: "0x",
        status: "succeeded",
        sentAt: clock.now(),
      });
      const time = now;
      journal.begin(assignment("young"));
      journal.advance(key("young"), "failed", { failureCode: "X" });
      expect(journal.prune(time)).toBe(1);
      expect(
        journal
          .recent(10)
          .map(({ taskId }) => taskId)
          .sort(),
      ).toEqual(["job-1", "young"]);
      expect(journal.transactions.find("old")).toBeUndefined();
      expect(journal.transactions.find("store-key:1")?.status).toBe("pending");
      expect(journal.prune(time)).toBe(0);
    });
  });

  test("a forgotten job that was committed to is never begun again", () => {
    write(path, (journal) => {
      fill(journal);
      journal.advance(key("job-1"), "submitted");
      expect(journal.prune(now + 1)).toBe(1);
      expect(journal.begin(assignment("job-1"))).toBe(false);
      expect(journal.begin(assignment("job-1", "verifier"))).toBe(true);
      expect(journal.commitments()).toHaveLength(1);
    });
  });
});

test("a journal with content is copied before it is migrated, and the copy is the old one", () => {
  write(path, fill);
  const db = new Database(path, { strict: true });
  try {
    migrate(db, path, [...migrations, "ALTER TABLE facts ADD COLUMN note TEXT"]);
    expect(db.query("SELECT note FROM facts").all()).toEqual([{ note: null }]);
  } finally {
    db.close();
  }
  const copy = `${path}.v${migrations.length}`;
  expect(statSync(copy).mode & 0o777).toBe(0o600);
  expect(write(copy, (journal) => journal.find(key("job-1"))?.state)).toBe("committed");
  expect(codeOf(() => openJournal(path, clock))).toBe("JOURNAL_TOO_NEW");
});

test("a migration that fails leaves the journal as it was", () => {
  write(path, fill);
  const db = new Database(path, { strict: true });
  try {
    expect(() => migrate(db, path, [...migrations, "CREATE TABLE extra (x)", "NONSENSE"])).toThrow();
  } finally {
    db.close();
  }
  expect(write(path, (journal) => journal.find(key("job-1"))?.state)).toBe("committed");
  expect(existsSync(path)).toBe(true);
});
