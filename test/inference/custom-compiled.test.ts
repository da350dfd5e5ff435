import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { nodeDirectory } from "../cli/node-directory.ts";
import { runCli } from "../cli/run-cli.ts";
import { executable, isBuilt } from "../e2e/executable.ts";
import { tempDirectory } from "../helpers/temp-directory.ts";
import { exampleBackend } from "./custom-example.ts";

setDefaultTimeout(60_000);

describe.skipIf(!isBuilt)("a custom backend in the compiled file", () => {
  let directory: ReturnType<typeof tempDirectory>;
  let node: ReturnType<typeof nodeDirectory>;
  beforeAll(() => {
    directory = tempDirectory();
    node = nodeDirectory();
    writeFileSync(join(directory.path, "parrot.ts"), exampleBackend);
  });
  afterAll(() => {
    directory[Symbol.dispose]();
    node[Symbol.dispose]();
  });

  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await runCli([...args, "--json"], {
      command: [executable],
      cwd: directory.path,
      env: node.env,
    });
    const error = /"code": ?"([A-Z_]+)"|\[([A-Z_]+)\]/.exec(stdout + stderr);
    return { code, stdout, error: error?.[1] ?? error?.[2] };
  };

  test("is added from a directory of its own, and answers", async () => {
    const added = await run("models", "add", "./parrot.ts");
    expect([added.code, JSON.parse(added.stdout).models]).toEqual([0, ["parrot-1"]]);
    const answer = await run("models", "test", "parrot-1", "hello");
    expect(JSON.parse(answer.stdout)).toMatchObject({ ok: true, backend: "parrot", text: "good day", outputTokens: 2 });
  });

  test("fails by itself when it throws, ends its process or hangs", async () => {
    await run("models", "add", "./parrot.ts");
    expect(await run("models", "test", "parrot-1", "throw")).toMatchObject({ code: 1, error: "BACKEND_FAILED" });
    expect(await run("models", "test", "parrot-1", "exit")).toMatchObject({ code: 1, error: "BACKEND_CRASHED" });
    writeFileSync(
      join(directory.path, "hangs.ts"),
      exampleBackend.replace('prompt === "hang"', "true").replace("parrot-1", "hang-1").replace('"parrot"', '"hangs"'),
    );
    expect(await run("models", "add", "./hangs.ts", "--timeout", "1")).toMatchObject({
      code: 1,
      error: "BACKEND_TIMEOUT",
    });
    expect((await run("models", "test", "parrot-1", "hello")).code).toBe(0);
  });

  test("finds its types in what the same file prints", async () => {
    const { stdout } = await run("models", "sdk");
    expect(JSON.parse(stdout).declarations).toContain("export const defineBackend: DefineBackend;");
  });
});
