import { afterAll, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/lib/clock.ts";
import { openJournal } from "../../src/node/journal/journal.ts";
import { lockDataDirectory } from "../../src/node/lock.ts";
import { assignment, commitmentA } from "../node/journal/fixtures.ts";
import { errorText } from "./expect-error.ts";
import { runCli } from "./run-cli.ts";

setDefaultTimeout(60_000);

const root = mkdtempSync(join(tmpdir(), "blf-journal-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const address = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
let from: string;
let to: string;
let file: string;

function makeDirectory(): string {
  const dir = mkdtempSync(join(root, "node-"));
  writeFileSync(join(dir, "config.json"), JSON.stringify({ node_address: address }));
  return dir;
}

beforeEach(() => {
  [from, to] = [makeDirectory(), makeDirectory()];
  file = join(from, "moved.json");
  const journal = openJournal(join(from, "journal.db"), systemClock);
  journal.begin(assignment("job-1"));
  journal.commit({ taskId: "job-1", role: "leader" }, commitmentA);
  journal.close();
});

const journalCommand = (dir: string, ...args: string[]) =>
  runCli(["journal", ...args], { env: { BLF_CONFIG_DIR: dir } });

test("a stopped node moves to another directory", async () => {
  const exported = await journalCommand(from, "export", file);
  expect([exported.code, exported.stdout]).toEqual([0, expect.stringContaining("1 job, 1 commitment, 0 transactions")]);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect((await journalCommand(to, "import", file)).code).toBe(0);
  const journal = openJournal(join(to, "journal.db"), systemClock);
  expect(journal.commitments().map(({ commitment }) => commitment)).toEqual([commitmentA]);
  journal.close();
});

test("neither runs beside a daemon", async () => {
  const lock = lockDataDirectory(from);
  const refusal = expect.stringContaining("[NODE_ALREADY_RUNNING]");
  expect(errorText(await journalCommand(from, "export", file))).toEqual(refusal);
  lock.release();
  await journalCommand(from, "export", file);
  const other = lockDataDirectory(to);
  expect(errorText(await journalCommand(to, "import", file))).toEqual(refusal);
  other.release();
});

test("an export replaces no file, and needs a journal", async () => {
  writeFileSync(file, "mine");
  expect(errorText(await journalCommand(from, "export", file))).toContain("[FILE_EEXIST]");
  expect(readFileSync(file, "utf8")).toBe("mine");
  expect(errorText(await journalCommand(to, "export", join(to, "new.json")))).toContain("[JOURNAL_MISSING]");
});

test("an import of what is no journal is refused", async () => {
  writeFileSync(file, "{}");
  expect(errorText(await journalCommand(to, "import", file))).toContain("[JOURNAL_EXPORT_INVALID]");
  expect(errorText(await journalCommand(to, "import", join(to, "nothing")))).toContain("[FILE_ENOENT]");
});
