import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { lockedHashes } from "../../native/lockfile.ts";
import { tempDirectory } from "../helpers/temp-directory.ts";
import { hexOf, lockedPackages, root, writeFiles } from "./checkout.ts";

describe("lockedHashes", () => {
  test("has every package of this checkout's bun.lock, with its hash, and no other", async () => {
    const packages = await lockedPackages();
    expect(packages.length).toBeGreaterThan(100);
    const expected = new Map(packages.map(({ id, integrity }) => [id, hexOf(integrity)]));
    expect(new Map([...lockedHashes(root)].toSorted())).toEqual(new Map([...expected].toSorted()));
  });

  test("reads scoped and nested packages, and those with programs, systems and peers", () => {
    const integrity = (text: string) => `sha512-${createHash("sha512").update(text).digest("base64")}`;
    const lines = [
      `"plain": ["plain@1.0.0", "", {}, "${integrity("a")}"],`,
      `"@scope/name": ["@scope/name@2.0.0-rc.1", "", { "os": "linux", "cpu": "x64" }, "${integrity("b")}"],`,
      `"@scope/name/plain": ["plain@3.0.0", "", { "bin": { "p": "p.js" }, "peerDependencies": { "x": "^1" } }, "${integrity("c")}"]`,
    ];
    using directory = tempDirectory();
    writeFiles(directory.path, {
      "bun.lock": `{\n  "packages": {\n${lines.map((line) => `    ${line}\n\n`).join("")}  }\n}\n`,
    });
    const hex = (text: string) => createHash("sha512").update(text).digest("hex");
    expect([...lockedHashes(directory.path)]).toEqual([
      ["plain@1.0.0", hex("a")],
      ["@scope/name@2.0.0-rc.1", hex("b")],
      ["plain@3.0.0", hex("c")],
    ]);
  });

  test("leaves out what has no hash, or a cut one", () => {
    using directory = tempDirectory();
    const short = createHash("sha512").update("x").digest("base64").slice(0, 60);
    const lock = `{\n    "local": ["local@workspace:packages/local"],\n    "cut": ["cut@1.0.0", "", {}, "sha512-${short}"],\n}\n`;
    writeFiles(directory.path, { "bun.lock": lock });
    expect(lockedHashes(directory.path).size).toBe(0);
  });
});
