import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildTinyModel } from "../../native/tiny-model.ts";
import { executable, isBuilt } from "../e2e/executable.ts";
import { nodeDirectory } from "./node-directory.ts";
import { runCli } from "./run-cli.ts";

/** 6 are enough for every day; the acceptance asks for 1000. */
const runs = Number(process.env["DETERMINISM_RUNS"] || 6);

setDefaultTimeout(120_000);

let scratch: string;
let path: string;
let at: ReturnType<typeof nodeDirectory>;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "blf-compiled-"));
  path = join(scratch, "tiny.gguf");
  writeFileSync(path, buildTinyModel({ type: "q8_0" }));
  at = nodeDirectory({ models: { tiny: { path, context_size: 128, max_tokens: 24 } }, engine: { threads: 1 } });
});
afterAll(() => {
  at[Symbol.dispose]();
  rmSync(scratch, { recursive: true, force: true });
});

function run(args: string[], stdin?: string, node = at) {
  const env = { ...node.env, XDG_CACHE_HOME: join(scratch, "cache") };
  return runCli([...args, "--json"], { env, command: [executable], ...(stdin === undefined ? {} : { stdin }) });
}

test.skipIf(!isBuilt)(
  "the compiled file tests, takes a fingerprint, confirms and denies it, and verifies an output",
  async () => {
    const matrix = await run(["test-determinism", "--runs", String(runs), "--tokens", "8"]);
    const document = JSON.parse(matrix.stdout) as { ok: boolean; rows: { name: string }[] };
    expect([matrix.code, document.ok, document.rows[0]!.name]).toEqual([0, true, `repeated ${runs} times`]);
    const fingerprint = join(scratch, "fp.json");
    expect((await run(["test-determinism", "--export", fingerprint])).code).toBe(0);
    expect((await run(["test-determinism", "--against", fingerprint])).code).toBe(0);
    expect((await run(["test-determinism", "--against", fingerprint, "--batch", "64"])).code).toBe(1);
    const spoken = await run(["models", "test", "tiny", "Hello"]);
    const { text } = JSON.parse(spoken.stdout) as { text: string };
    expect((await run(["verify-output", "--prompt", "Hello", "--output-file", "-"], text)).code).toBe(0);
    expect((await run(["verify-output", "--prompt", "Hello", "--output-file", "-"], `${text}.`)).code).toBe(1);
  },
);

test.skipIf(!isBuilt)("the compiled file finds a broken setting out, and names the row that differs", async () => {
  // Only prompts that are longer than a small context would hold are answered otherwise.
  using wide = nodeDirectory({ models: { tiny: { path, context_size: 2048 } }, engine: { threads: 1 } });
  const { code, stdout } = await run(
    ["test-determinism", "--runs", String(runs), "--tokens", "8", "--batch", "512"],
    undefined,
    wide,
  );
  const { ok, rows } = JSON.parse(stdout) as { ok: boolean; rows: { name: string; verdict: string }[] };
  const differing = rows.filter(({ verdict }) => verdict === "differs").map(({ name }) => name);
  expect([code, ok, differing]).toEqual([1, false, expect.arrayContaining(["prompt cut into single tokens"])]);
});
