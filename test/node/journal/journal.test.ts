import { Database } from "bun:sqlite";
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { StoredTransaction } from "../../../src/chain/transaction-store.ts";
import { type Journal, openJournal } from "../../../src/node/journal/journal.ts";
import { expectCode } from "../../crypto/expect-code.ts";
import { manualClock } from "../../helpers/manual-clock.ts";
import { tempDirectory } from "../../helpers/temp-directory.ts";
import { until } from "../../helpers/until.ts";
import { assignment, commitmentA, commitmentB } from "./fixtures.ts";

setDefaultTimeout(30_000);

const clock = manualClock();
const key = { taskId: "0x01", role: "leader" } as const;
const transaction: StoredTransaction = {
  purpose: "store-key:0x01",
  nonce: 7,
  hashes: [`0x${"a".repeat(64)}`, `0x${"b".repeat(64)}`],
  raw: "0x02f8",
  status: "pending",
  sentAt: 1_750_000_000_123,
};

/** Everything that a journal holds, as values. */
function contents(journal: Journal) {
  return {
    jobs: journal.recent(100),
    unfinished: journal.unfinished(),
    counts: journal.countByState(),
    commitments: journal.commitments(),
    transaction: journal.transactions.find(transaction.purpose),
    fact: journal.fact("a fact"),
  };
}

describe("jobs", () => {
  test("one row per job and role; a second begin changes nothing", () => {
    const journal = openJournal(":memory:", clock);
    expect(journal.begin(assignment("0x01"))).toBe(true);
    journal.advance(key, "claimed", { claimDeadline: 1_750_000_300 }, { durable: true });
    expect(journal.begin({ ...assignment("0x01"), modelId: "another" })).toBe(false);
    expect(journal.begin(assignment("0x01", "verifier"))).toBe(true);
    expect(journal.find(key)).toEqual({
      ...key,
      state: "claimed",
      modelId: "mock-model",
      promptCid: "bafkreiprompt",
      userAddress: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
      claimDeadline: 1_750_000_300,
      outputCid: undefined,
      commitment: undefined,
      verdict: undefined,
      determinismClass: undefined,
      sealedOutputKey: undefined,
      sealedEncryptedKey: undefined,
      outputKeyTx: undefined,
      failureCode: undefined,
      engineCrashes: 0,
      timings: {},
      createdAt: clock.now(),
      updatedAt: clock.now(),
    });
    expect(journal.find({ taskId: "0x01", role: "verifier" })?.state).toBe("assigned");
    journal.close();
  });

  test("every field comes back as it went in", () => {
    const journal = openJournal(":memory:", clock);
    journal.begin(assignment("0x01"));
    const change = {
      outputCid: "bafkreioutput",
      commitment: commitmentA,
      verdict: "REJECT",
      determinismClass: "sha256:ab · cpu",
      sealedOutputKey: Uint8Array.of(0, 1, 255),
      sealedEncryptedKey: new Uint8Array(500).fill(7),
      outputKeyTx: `0x${"c".repeat(64)}`,
      engineCrashes: 2,
      timings: { generate: 12.5, upload: 3 },
    } as const;
    journal.update(key, change, { durable: true });
    expect(journal.find(key)).toMatchObject(change);
    expect(journal.find(key)?.sealedOutputKey).toEqual(Uint8Array.of(0, 1, 255));
    journal.close();
  });

  test("the unfinished ones oldest first, the recent ones newest first", () => {
    const time = manualClock();
    const journal = openJournal(":memory:", time);
    for (const taskId of ["c", "a", "b", "d"]) {
      journal.begin(assignment(taskId));
      time.advance(1000);
    }
    journal.advance({ taskId: "a", role: "leader" }, "failed");
    expect(journal.unfinished().map(({ taskId }) => taskId)).toEqual(["c", "b", "d"]);
    expect(journal.recent(3).map(({ taskId }) => taskId)).toEqual(["d", "b", "a"]);
    expect(journal.countByState()).toEqual({ assigned: 3, failed: 1 });
    journal.close();
  });
});

describe("a commitment", () => {
  test("may be given again, but never another one, not even after the job failed", async () => {
    const journal = openJournal(":memory:", clock);
    journal.commit(key, commitmentA);
    journal.commit(key, commitmentA);
    const error = await expectCode(() => journal.commit(key, commitmentB), "COMMITMENT_CONFLICT");
    expect(error.retryable).toBe(false);
    expect(journal.commitments()).toEqual([{ ...key, commitment: commitmentA, createdAt: clock.now() }]);
    // Another role and another task are other promises.
    journal.commit({ ...key, role: "verifier" }, commitmentB);
    journal.commit({ ...key, taskId: "0x02" }, commitmentB);
    expect(journal.commitments()).toHaveLength(3);
    journal.close();
  });

  test("is the same one for two connections", async () => {
    using dir = tempDirectory();
    const path = join(dir.path, "journal.db");
    const [one, two] = [openJournal(path, clock), openJournal(path, clock)];
    one.commit(key, commitmentA);
    two.commit(key, commitmentA);
    await expectCode(() => two.commit(key, commitmentB), "COMMITMENT_CONFLICT");
    one.close();
    two.close();
  });

  test("is the same one for two processes that commit at the same moment", async () => {
    using dir = tempDirectory();
    const path = join(dir.path, "journal.db");
    for (let round = 0; round < 3; round++) {
      const children = [commitmentA, commitmentB, commitmentA, commitmentB].map((commitment) =>
        startCommitter(path, `0x${round}`, commitment),
      );
      for (const child of children) expect(await child.line()).toBe("ready");
      for (const child of children) child.go();
      const answers = await Promise.all(children.map((child) => child.line()));
      const [promise] = openAndRead(path).filter(({ taskId }) => taskId === `0x${round}`);
      expect(answers).toEqual(
        [commitmentA, commitmentB, commitmentA, commitmentB].map((commitment) =>
          commitment === promise!.commitment ? "ok" : "COMMITMENT_CONFLICT",
        ),
      );
    }
  });
});

function startCommitter(...args: [path: string, taskId: string, commitment: string, ...more: string[]]) {
  return startScript("commit-once.ts", args);
}

function startScript(name: string, args: string[]) {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, name), ...args], {
    stdin: "pipe",
    stdout: "pipe",
  });
  const reader = child.stdout.getReader();
  return {
    line: async () => new TextDecoder().decode((await reader.read()).value).trim(),
    go: () => {
      child.stdin.write("go\n");
      child.stdin.end();
    },
    kill: async () => {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

function openAndRead(path: string) {
  const journal = openJournal(path, clock);
  const commitments = journal.commitments();
  journal.close();
  return commitments;
}

test("transactions and facts are replaced by their name", () => {
  const journal = openJournal(":memory:", clock);
  expect(journal.transactions.find("x")).toBeUndefined();
  journal.transactions.save(transaction);
  expect(journal.transactions.find(transaction.purpose)).toEqual(transaction);
  const settled = { ...transaction, status: "succeeded", hashes: [...transaction.hashes, "0xcc"] } as StoredTransaction;
  journal.transactions.save(settled);
  expect(journal.transactions.find(transaction.purpose)).toEqual(settled);
  expect(journal.fact("a fact")).toBeUndefined();
  journal.setFact("a fact", "1");
  journal.setFact("a fact", "two ' \u{1F512}");
  journal.setFact("another", "");
  expect(journal.fact("a fact")).toBe("two ' \u{1F512}");
  expect(journal.fact("another")).toBe("");
  journal.close();
});

describe("the file", () => {
  test("keeps everything from one run to the next, and is for its owner alone", () => {
    using dir = tempDirectory();
    const path = join(dir.path, "journal.db");
    const first = openJournal(path, clock);
    first.begin(assignment("0x01"));
    first.advance(key, "claimed", { claimDeadline: 5 }, { durable: true });
    first.update(key, { sealedOutputKey: Uint8Array.of(1, 2, 3) });
    first.begin(assignment("0x02", "verifier"));
    first.commit(key, commitmentA);
    first.transactions.save(transaction);
    first.setFact("a fact", "kept");
    const before = contents(first);
    for (const name of ["journal.db", "journal.db-wal", "journal.db-shm"])
      expect(statSync(join(dir.path, name)).mode & 0o777).toBe(0o600);
    first.close();
    const second = openJournal(path, clock);
    expect(contents(second)).toEqual(before);
    second.close();
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test("that another process is writing to for the first time is waited for", async () => {
    using dir = tempDirectory();
    const path = join(dir.path, "journal.db");
    writeFileSync(path, "", { mode: 0o644 });
    const writer = startScript("write-slowly.ts", [path]);
    expect(await writer.line()).toBe("writing");
    const opener = startCommitter(path, "0x01", commitmentA);
    await until("the other process has come to the file", () => (statSync(path).mode & 0o777) === 0o600);
    writer.go();
    expect(await opener.line()).toBe("ready");
    opener.go();
    expect(await opener.line()).toBe("ok");
  });

  test("keeps what was promised by a process that was killed", async () => {
    using dir = tempDirectory();
    const path = join(dir.path, "journal.db");
    const child = startCommitter(path, "0x01", commitmentA, "stay");
    expect(await child.line()).toBe("ready");
    child.go();
    expect(await child.line()).toBe("ok");
    await child.kill();
    const journal = openJournal(path, clock);
    expect(journal.commitments()).toMatchObject([{ taskId: "0x01", commitment: commitmentA }]);
    await expectCode(() => journal.commit(key, commitmentB), "COMMITMENT_CONFLICT");
    journal.close();
  });

  test.each([
    ["text", (path: string) => writeFileSync(path, "this is not a database at all".repeat(100))],
    ["overwritten pages", overwritePages],
    ["a cut file", (path: string) => truncateSync(path, 3 * 4096)],
  ])("that is damaged (%s) is refused with a warning not to delete it", async (_name, damage) => {
    using dir = tempDirectory();
    const path = join(dir.path, "journal.db");
    fill(path);
    damage(path);
    const error = await expectCode(() => openJournal(path, clock), "JOURNAL_CORRUPT");
    expect(error.message).toContain(path);
    expect(error.hint).toContain("Do not just delete it");
  });

  test("of a newer version is left alone", async () => {
    using dir = tempDirectory();
    const path = join(dir.path, "journal.db");
    openJournal(path, clock).close();
    const db = new Database(path);
    const { user_version: version } = db.query("PRAGMA user_version").get() as { user_version: number };
    db.run(`PRAGMA user_version = ${version + 1}`);
    db.close();
    await expectCode(() => openJournal(path, clock), "JOURNAL_TOO_NEW");
  });

  test("that cannot be made is an error in words", async () => {
    using dir = tempDirectory();
    await expectCode(() => openJournal(join(dir.path, "missing", "journal.db"), clock), "JOURNAL_UNAVAILABLE");
  });
});

/** A journal of some pages, completely in its main file. */
function fill(path: string): void {
  const journal = openJournal(path, clock);
  for (let index = 0; index < 300; index++) journal.begin(assignment(`0x${index}`));
  journal.close();
  const db = new Database(path);
  db.run("PRAGMA wal_checkpoint(TRUNCATE)");
  db.close();
}

function overwritePages(path: string): void {
  const db = new Database(path);
  const { page_size: size } = db.query("PRAGMA page_size").get() as { page_size: number };
  db.close();
  const bytes = readFileSync(path);
  for (let offset = size; offset < bytes.length; offset += 2 * size) bytes.fill(0xa5, offset, offset + size / 2);
  writeFileSync(path, bytes);
}

test("the sealed keys of a job that has ended are gone, from its file too", () => {
  using dir = tempDirectory();
  const path = join(dir.path, "journal.db");
  const journal = openJournal(path, clock);
  const marks = { submitted: "sealed-of-the-first", failed: "sealed-of-the-other" };
  for (const [end, mark] of Object.entries(marks) as ["submitted" | "failed", string][]) {
    const key = { taskId: `0x${end}`, role: "leader" } as const;
    const bytes = new TextEncoder().encode(mark);
    journal.begin(assignment(key.taskId));
    journal.update(key, { sealedOutputKey: bytes, sealedEncryptedKey: bytes });
    for (const state of ["claimed", "generated", "uploaded", "key-stored", "committed"] as const)
      journal.advance(key, state);
    expect(journal.find(key)?.sealedOutputKey).toEqual(bytes);
    journal.advance(key, end);
    expect(journal.find(key)).toMatchObject({ sealedOutputKey: undefined, sealedEncryptedKey: undefined });
  }
  journal.close();
  const content = readFileSync(path).toString("latin1");
  expect(content).toContain("0xsubmitted");
  for (const mark of Object.values(marks)) expect(content).not.toContain(mark);
});
