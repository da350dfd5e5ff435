import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { join } from "node:path";
import { linkTree } from "../../native/link-tree.ts";
import { tempDirectory } from "../helpers/temp-directory.ts";
import { writeFiles } from "./checkout.ts";

function sampleTree(directory: string): string {
  const from = join(directory, "from");
  writeFiles(from, { "a.txt": "a", "deep/er/b.txt": "b", "bin/tool": "#!" });
  chmodSync(join(from, "bin", "tool"), 0o755);
  mkdirSync(join(from, "empty"));
  symlinkSync("../a.txt", join(from, "deep", "link"));
  return from;
}

function expectSample(place: string): void {
  expect(readFileSync(join(place, "a.txt"), "utf8")).toBe("a");
  expect(readFileSync(join(place, "deep", "er", "b.txt"), "utf8")).toBe("b");
  expect(lstatSync(join(place, "bin", "tool")).mode & 0o777).toBe(0o755);
  expect(lstatSync(join(place, "empty")).isDirectory()).toBe(true);
  expect(readlinkSync(join(place, "deep", "link"))).toBe("../a.txt");
}

describe("linkTree", () => {
  test("puts directories, files and links at another place, without taking room for them", () => {
    using directory = tempDirectory();
    const from = sampleTree(directory.path);
    const to = join(directory.path, "new", "place");
    linkTree(from, to);
    expectSample(to);
    const [one, other] = [lstatSync(join(from, "a.txt")), lstatSync(join(to, "a.txt"))];
    expect([other.ino, other.nlink]).toEqual([one.ino, 2]);
    rmSync(to, { recursive: true });
    expectSample(from);
  });

  test("puts a single file there, and its directories", () => {
    using directory = tempDirectory();
    writeFiles(directory.path, { "x.json": "{}" });
    linkTree(join(directory.path, "x.json"), join(directory.path, "p", "q", "x.json"));
    expect(readFileSync(join(directory.path, "p", "q", "x.json"), "utf8")).toBe("{}");
  });

  test("copies where the other place is on another disk", () => {
    using directory = tempDirectory();
    const memory = "/dev/shm";
    if (!existsSync(memory) || lstatSync(memory).dev === lstatSync(directory.path).dev) return;
    const to = mkdtempSync(join(memory, "blf-test-"));
    try {
      linkTree(sampleTree(directory.path), to);
      expectSample(to);
    } finally {
      rmSync(to, { recursive: true });
    }
  });

  test("fails when something is there already", () => {
    using directory = tempDirectory();
    writeFiles(directory.path, { from: "new", to: "old" });
    expect(() => linkTree(join(directory.path, "from"), join(directory.path, "to"))).toThrow("EEXIST");
    expect(readFileSync(join(directory.path, "to"), "utf8")).toBe("old");
  });
});
