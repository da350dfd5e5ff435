import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { tempDirectory } from "../helpers/temp-directory.ts";
import { runCli } from "./run-cli.ts";

setDefaultTimeout(60_000);

let directory: ReturnType<typeof tempDirectory>;

beforeAll(() => {
  directory = tempDirectory();
});
afterAll(() => directory[Symbol.dispose]());

const program = fileURLToPath(new URL("../../src/cli/program.ts", import.meta.url));

/** Runs `devnet`, which ends when it is told to, beside something that fails in the same process. */
function runBeside(failure: string, args: string[] = []) {
  const script = join(directory.path, "beside.ts");
  writeFileSync(
    script,
    `import { runCli } from ${JSON.stringify(program)};
const running = runCli(process.argv.slice(2));
setTimeout(() => { ${failure} });
process.exitCode = await running;`,
  );
  return runCli(["devnet", "--port-base", "0", ...args], { command: [process.execPath, script] });
}

const failures = [
  ["a rejection", `void Promise.reject(new Error("a-prompt-to-hide"));`],
  ["an exception", `throw new Error("a-prompt-to-hide");`],
  ["no error at all", `throw "a-prompt-to-hide";`],
] as const;

test.each(
  failures,
)("%s that nothing waits for ends a command with an error and without a stack", async (_, failure) => {
  const { code, stderr } = await runBeside(failure);
  expect(code).toBe(1);
  expect(stderr).toEndWith(
    "error: Something unexpected happened [INTERNAL]\n  hint: This is a defect of blindference: run the command with BLF_LOG_LEVEL=debug and report what it prints.\n",
  );
  expect(stderr).not.toContain("a-prompt-to-hide");
  expect(stderr).not.toContain("beside.ts");
});

test("with --json it is a document", async () => {
  const { code, stdout } = await runBeside(failures[0][1], ["--json"]);
  const document = JSON.parse(stdout.trim().split("\n").at(-1)!);
  expect([code, document.ok, document.error.code]).toEqual([1, false, "INTERNAL"]);
  expect(stdout).not.toContain("a-prompt-to-hide");
});
