import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensurePrivateDirectory, fileError, writeFileAtomic } from "../../src/lib/files.ts";
import { expectCode } from "../crypto/expect-code.ts";

const root = mkdtempSync(join(tmpdir(), "blf-files-"));
afterAll(() => rmSync(root, { recursive: true }));
let count = 0;
function directory(): string {
  const path = join(root, String(count++));
  mkdirSync(path);
  return path;
}
const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);
const isRoot = process.getuid?.() === 0;

describe("writeFileAtomic", () => {
  test("writes the file for its owner only and leaves nothing beside it", () => {
    const dir = directory();
    writeFileAtomic(join(dir, "secret.json"), "héllo");
    expect(readdirSync(dir)).toEqual(["secret.json"]);
    expect(readFileSync(join(dir, "secret.json"), "utf8")).toBe("héllo");
    expect(mode(join(dir, "secret.json"))).toBe("600");
  });

  test("replaces a file whole, bytes and mode", () => {
    const path = join(directory(), "file");
    writeFileSync(path, "a much longer text than what follows", { mode: 0o644 });
    writeFileAtomic(path, Uint8Array.of(1, 2, 3));
    expect([...readFileSync(path)]).toEqual([1, 2, 3]);
    expect(mode(path)).toBe("600");
  });

  test("writes an empty and a large file, and with another mode", () => {
    const dir = directory();
    writeFileAtomic(join(dir, "empty"), "");
    writeFileAtomic(join(dir, "large"), new Uint8Array(5_000_000).fill(7));
    writeFileAtomic(join(dir, "program"), "#!", 0o700);
    expect([statSync(join(dir, "empty")).size, statSync(join(dir, "large")).size]).toEqual([0, 5_000_000]);
    expect(mode(join(dir, "program"))).toBe("700");
  });

  test.each<[string, (dir: string) => string, string]>([
    ["a directory that is missing", (dir) => join(dir, "none", "file"), "FILE_ENOENT"],
    [
      "a directory of that name",
      (dir) => {
        mkdirSync(join(dir, "taken"));
        writeFileSync(join(dir, "taken", "content"), "");
        return join(dir, "taken");
      },
      "FILE_EISDIR",
    ],
    [
      "a file for a directory",
      (dir) => {
        writeFileSync(join(dir, "file"), "");
        return join(dir, "file", "below");
      },
      "FILE_ENOTDIR",
    ],
  ])("%s: an error in words, and nothing half-written", async (_name, prepare, code) => {
    const dir = directory();
    const path = prepare(dir);
    const before = readdirSync(dir);
    const error = await expectCode(() => writeFileAtomic(path, "content"), code);
    expect(error.message).toBe(`Cannot write ${path} (${code.slice(5)})`);
    expect(readdirSync(dir)).toEqual(before);
  });

  test.skipIf(isRoot)("a directory that may not be written (skipped for root, who may)", async () => {
    const dir = directory();
    chmodSync(dir, 0o500);
    const error = await expectCode(() => writeFileAtomic(join(dir, "file"), ""), "FILE_EACCES");
    expect(error.hint).toContain("BLF_CONFIG_DIR");
    expect(readdirSync(dir)).toEqual([]);
  });
});

describe("ensurePrivateDirectory", () => {
  test("makes directories that only the owner can enter", () => {
    const path = join(directory(), "a", "b");
    ensurePrivateDirectory(path);
    expect([mode(path), mode(join(path, ".."))]).toEqual(["700", "700"]);
    ensurePrivateDirectory(path);
    expect(readdirSync(path)).toEqual([]);
  });

  test("a file in the way is an error in words", async () => {
    const path = join(directory(), "file");
    writeFileSync(path, "");
    await expectCode(() => ensurePrivateDirectory(path), "FILE_EEXIST");
    await expectCode(() => ensurePrivateDirectory(join(path, "below")), "FILE_ENOTDIR");
  });
});

test("every error of the file system has a code and a remedy", () => {
  const words = ["EACCES", "EPERM", "EROFS", "ENOSPC", "ENOENT", "EEXIST", "EISDIR", "ENOTDIR", "EIO"].map((code) => {
    const error = fileError("write", "/data/x", Object.assign(new Error("library words"), { code }));
    expect(error.message).toBe(`Cannot write /data/x (${code})`);
    return `${error.code}: ${error.hint}`;
  });
  expect(words).toMatchInlineSnapshot(`
    [
      "FILE_EACCES: Give this user access to it, or set BLF_CONFIG_DIR to a directory of its own.",
      "FILE_EPERM: Give this user access to it, or set BLF_CONFIG_DIR to a directory of its own.",
      "FILE_EROFS: The file system is read-only: set BLF_CONFIG_DIR to a writable directory.",
      "FILE_ENOSPC: The disk is full: free some space and run the command again.",
      "FILE_ENOENT: Check that the path exists.",
      "FILE_EEXIST: There is a file of that name: move it away, or choose another path.",
      "FILE_EISDIR: That is a directory: name a file.",
      "FILE_ENOTDIR: A part of the path is a file, not a directory: choose another path.",
      "FILE_EIO: Check the path and its permissions.",
    ]
  `);
  expect(fileError("read", "/x", new Error("?")).code).toBe("FILE_INTERNAL");
});
