import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { commands } from "../../src/cli/commands.ts";
import { configKeys } from "../../src/config/schema.ts";
import { mockOutput } from "../../src/inference/mock.ts";
import { isBuilt } from "./executable.ts";

const root = join(import.meta.dir, "..", "..");
const readme = readFileSync(join(root, "README.md"), "utf8");

/** The shell blocks of the README, in its order. */
const blocks = [...readme.matchAll(/^```sh\n(.*?)^```/gms)].map((match) => match[1]!);

describe("README", () => {
  test.skipIf(!isBuilt)(
    "its try-out runs as it stands",
    async () => {
      const directory = mkdtempSync(join(tmpdir(), "blindference-readme-"));
      const script = blocks.find((block) => block.includes("--deposit"))!.replaceAll("/tmp/", `${directory}/`);
      try {
        const child = Bun.spawn(["bash", "-eu", "-c", script], {
          cwd: root,
          env: { HOME: process.env["HOME"] ?? directory, PATH: process.env["PATH"]! },
          stdout: "pipe",
          stderr: "pipe",
        });
        const [stdout, stderr] = await Promise.all([
          new Response(child.stdout).text(),
          new Response(child.stderr).text(),
          child.exited,
        ]);
        expect(`${stdout}\n${stderr}`).toContain(mockOutput("mock-model", "What is confidential?"));
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    },
    300_000,
  );

  test("names every command and every key of the configuration", () => {
    const missing = [...Object.keys(commands), ...configKeys].filter((name) => !readme.includes(`\`${name}`));
    expect(missing.filter((name) => name !== "engine")).toEqual([]);
  });

  test("mentions no command that is not there", () => {
    const mentioned = [...readme.matchAll(/blindference ([a-z]+)\b/g)].map((match) => match[1]!);
    expect(mentioned.filter((name) => !Object.hasOwn(commands, name) && !/^(network|is)$/i.test(name))).toEqual([]);
  });
});
