import { afterEach, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { lockDataDirectory } from "../../src/node/lock.ts";
import { expectCode } from "../crypto/expect-code.ts";
import { tempDirectory } from "../helpers/temp-directory.ts";

const children: Subprocess[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill("SIGKILL");
    await child.exited;
  }
});

/** Another process that takes the lock; `answer` is the line that it prints. */
async function otherProcess(dir: string): Promise<{ child: Subprocess; answer: string }> {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "hold-lock.ts"), dir], {
    stdout: "pipe",
    stderr: "inherit",
  });
  children.push(child);
  let printed = "";
  for await (const chunk of child.stdout) {
    printed += new TextDecoder().decode(chunk);
    if (printed.includes("\n")) break;
  }
  return { child, answer: printed.trim() };
}

test("a second process is refused, with a way out", async () => {
  using dir = tempDirectory();
  const lock = lockDataDirectory(dir.path);
  expect((await otherProcess(dir.path)).answer).toBe("NODE_ALREADY_RUNNING");
  lock.release();
  expect((await otherProcess(dir.path)).answer).toBe("locked");
  const error = await expectCode(() => lockDataDirectory(dir.path), "NODE_ALREADY_RUNNING");
  expect(error.message).toContain(dir.path);
  expect(error.hint).toContain("BLF_CONFIG_DIR");
});

test("the lock goes with its holder, also when that is killed", async () => {
  using dir = tempDirectory();
  const { child, answer } = await otherProcess(dir.path);
  expect(answer).toBe("locked");
  child.kill("SIGKILL");
  await child.exited;
  const lock = lockDataDirectory(dir.path);
  expect((await otherProcess(dir.path)).answer).toBe("NODE_ALREADY_RUNNING");
  lock.release();
});

test("two data directories do not know of each other", () => {
  using one = tempDirectory();
  using two = tempDirectory();
  const locks = [lockDataDirectory(one.path), lockDataDirectory(two.path)];
  for (const lock of locks) lock.release();
});

test("a directory that is not there is not a running daemon", async () => {
  using dir = tempDirectory();
  await expectCode(() => lockDataDirectory(join(dir.path, "missing")), "NODE_LOCK_UNAVAILABLE");
});

test("neither is a damaged lock file", async () => {
  using dir = tempDirectory();
  writeFileSync(join(dir.path, "node.lock"), "not a database, but long enough to be taken for one".repeat(100));
  await expectCode(() => lockDataDirectory(dir.path), "NODE_LOCK_UNAVAILABLE");
});
