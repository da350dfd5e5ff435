import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildTinyModel } from "../../native/tiny-model.ts";
import { outputs } from "../../src/cli/test-determinism.ts";
import { errorText } from "./expect-error.ts";
import { nodeDirectory } from "./node-directory.ts";
import { runCli } from "./run-cli.ts";

setDefaultTimeout(120_000);

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "blf-determinism-"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

type Row = {
  name: string;
  level: string;
  verdict: string;
  isNodes: boolean;
  compared: number;
  reason: string | null;
  divergence: { kind: string; prompt: string; token: number | null; character: number | null } | null;
};
type Document = {
  ok: boolean;
  deterministic: boolean;
  determinismClass: string;
  determinismClassHash: string;
  setting: { batchSize: number; flashAttention: boolean; threads: number; isNodes: boolean } | null;
  compared: number;
  rows: Row[];
  prompts: { name: string; promptTokens: number }[];
  skipped: string[];
  notices: string[];
};

function node(config: Record<string, unknown>) {
  const directory = nodeDirectory(config);
  const env = { ...directory.env, XDG_CACHE_HOME: join(scratch, "cache") };
  const run = (...args: string[]) => runCli(["test-determinism", ...args], { env });
  return {
    ...directory,
    run,
    document: async (...args: string[]) => {
      const result = await run(...args, "--json");
      expect(result.stderr).toBe("");
      const document = outputs["test-determinism"]!.parse(JSON.parse(result.stdout)) as Document;
      expect(result.code).toBe(document.ok ? 0 : 1);
      return document;
    },
  };
}

const local = (settings: Record<string, unknown> = {}, type: "q8_0" | "f32" = "q8_0") => {
  const path = join(scratch, `tiny-${type}.gguf`);
  writeFileSync(path, buildTinyModel({ type }));
  return { models: { tiny: { path, max_tokens: 60, ...settings } } };
};

test("a model of llama.cpp is compared token by token, then through the node's own engine", async () => {
  using at = node(local({ context_size: 128 }));
  const document = await at.document("--runs", "4", "--tokens", "8", "--prompt", "What is 2 + 2?");
  expect([document.ok, document.deterministic]).toEqual([true, true]);
  const verdicts = new Map(document.rows.map(({ name, verdict }) => [name, verdict]));
  for (const name of [
    "repeated 4 times",
    "after another prompt",
    "KV cache reused, whole batches",
    "KV cache reused, any token",
    "fresh context, every length",
    "engine: after another prompt",
    "engine: 1 at once",
    "engine: 2 at once",
    "engine: 4 at once",
    "engine: 8 at once",
    "engine: 4 at once, staggered",
    "engine: cold start, new process",
  ])
    expect([name, verdicts.get(name)]).toEqual([name, "identical"]);
  expect(document.rows.filter(({ verdict }) => verdict === "skipped").map(({ reason }) => reason)).toEqual([
    "the reference has as many",
  ]);
  expect(document.determinismClass).toEndWith("/ctx128/b32/no-fa/kv-f16/greedy/max60/raw");
  expect(document.determinismClassHash).toMatch(/^[0-9a-f]{64}$/);
  expect(document.setting).toMatchObject({ batchSize: 32, flashAttention: false, isNodes: true });
  expect(document.prompts.map(({ name }) => name)).toEqual(["yours"]);
  expect(document.skipped).toEqual(["186 tokens", "511 tokens", "long", "very long"]);
  expect(document.notices).toHaveLength(2);
  const tooLong = await at.run("--prompt", "word ".repeat(200), "--runs", "2", "--tokens", "8");
  expect(errorText(tooLong)).toContain("[MODEL_PROMPT_TOO_LONG]");
});

test("without a GPU a model with gpu_layers auto is tested on the CPU, in the class that the node reports", async () => {
  using at = node(local({ context_size: 128, gpu_layers: "auto" }));
  const document = await at.document("--runs", "2", "--tokens", "8");
  expect(document.ok).toBe(true);
  const env = { ...at.env, XDG_CACHE_HOME: join(scratch, "cache") };
  const spoken = await runCli(["models", "test", "tiny", "Hello", "--json"], { env });
  const { determinismClass } = JSON.parse(spoken.stdout) as { determinismClass: string };
  expect(document.determinismClass).toBe(determinismClass);
});

test("a model of plain floats is fit to serve, though it would not stand a cache that is cut anywhere", async () => {
  using at = node(local({ context_size: 128 }, "f32"));
  const document = await at.document("--runs", "2", "--tokens", "8");
  expect([document.ok, document.deterministic]).toEqual([true, true]);
  const differing = document.rows.filter(({ verdict }) => verdict === "differs");
  expect(differing.map(({ name, isNodes }) => [name, isNodes])).toEqual([["KV cache reused, any token", false]]);
  const { code, stdout } = await at.run("--runs", "2", "--tokens", "8");
  expect(code).toBe(0);
  expect(stdout).toMatch(/KV cache reused, any token +\d+ +[\d.]+ +differs: the node never does this\n/);
});

test("a broken setting shows its rows, with both continuations, and ends with 1", async () => {
  using at = node({ ...local({ context_size: 128 }), engine: { threads: 1 } });
  const broken = ["--runs", "2", "--batch", "512", "--flash-attention", "on", "--threads", "1"];
  const document = await at.document(...broken);
  expect([document.ok, document.setting!.isNodes]).toEqual([false, false]);
  expect(document.determinismClass).toContain("/b512/fa/");
  const own = document.rows.find(({ name }) => name === "the node's own setting")!;
  expect(own).toMatchObject({ verdict: "differs", level: "tokens" });
  const shown = await at.run(...broken);
  expect([shown.code, shown.stderr]).toEqual([1, ""]);
  expect(shown.stdout).toMatch(/the node's own setting +\d+ +[\d.]+ +differs\n/);
  expect(shown.stdout).toMatch(/\n {2}reference {2}".+" {2}\[[\d ]+\]\n {2}found {6}".+" {2}\[[\d ]+\]\n/);
  expect(shown.stdout).toContain("NOT the node's own");
  expect(shown.stdout).toContain("the node's own engine           0         -         skipped: it computes");
});

test("a batch of 512 without flash attention is found out too", async () => {
  using at = node({ ...local(), engine: { threads: 1 } });
  const document = await at.document("--runs", "2", "--batch", "512");
  expect([document.ok, document.setting]).toMatchObject([false, { batchSize: 512, flashAttention: false }]);
  expect(document.rows.filter(({ verdict }) => verdict === "differs").map(({ name }) => name)).toContain(
    "prompt cut into single tokens",
  );
});

test.each([
  ["at every second answer", "(answers % 2)", "repeated 4 times"],
  ["after another prompt", "(unrelated ? 1 : 0)", "after another prompt"],
  ["in a new process", "process.pid", "cold start, new process"],
])("a backend that answers otherwise %s fails in that row", async (_name, expression, row) => {
  const path = join(scratch, `differs-${row.length}.ts`);
  writeFileSync(
    path,
    `let answers = 0;
let unrelated = false;
export default {
  name: "fickle",
  models: ["fickle-1"],
  generate: ({ prompt }: { prompt: string }) => {
    answers++;
    if (prompt.includes("days of the week")) unrelated = true;
    return "an answe" + (${expression});
  },
};`,
  );
  using at = node({ custom_backends: [path] });
  const document = await at.document("--runs", "4");
  const found = document.rows.find(({ name }) => name === row)!;
  expect(found).toMatchObject({ verdict: "differs", level: "text", divergence: { kind: "text" } });
  expect(found.divergence!.character).toBeGreaterThanOrEqual("an answe".length);
  expect(document.rows.at(-1)).toMatchObject({ verdict: "skipped", reason: "only text comes from this backend" });
  expect(document.setting).toBeNull();
  const plain = await at.run("--runs", "4");
  expect([plain.code, plain.stderr]).toEqual([1, ""]);
  expect(plain.stdout).toContain("Do not serve this model");
});

test("a steady backend that gives only text passes", async () => {
  using at = node({ mock_model_ids: ["mock-a"] });
  const document = await at.document("--runs", "2");
  expect([document.ok, document.prompts.map(({ name }) => name)]).toEqual([true, ["short", "long", "very long"]]);
});

test("what cannot be tested", async () => {
  using at = node({ mock_model_ids: ["mock-a", "mock-b"] });
  const lines: string[] = [];
  for (const args of [
    [],
    ["--model", "none"],
    ["--model", "mock-a", "--runs", "1"],
    ["--model", "mock-a", "--runs", "x"],
    ["--model", "mock-a", "--runs", "100001"],
    ["--model", "mock-a", "--tokens", "7"],
    ["--model", "mock-a", "--flash-attention", "yes"],
    ["--model", "mock-a", "--batch", "0"],
    ["--model", "mock-a", "--batch", "64"],
    ["--model", "mock-a", "--against", "none.json"],
  ])
    lines.push(errorText(await at.run(...args)));
  expect(lines).toMatchInlineSnapshot(`
    [
      "2 There are 2 models [MODEL_MISSING] | Name one with --model, for example --model mock-a.",
      "2 No backend serves the model none [MODEL_UNKNOWN] | Run \`blindference models list\` to see the models.",
      "2 --runs must be a number from 2 to 100000 [USAGE_INVALID_OPTION] | Run \`blindference test-determinism --help\`.",
      "2 --runs must be a number from 2 to 100000 [USAGE_INVALID_OPTION] | Run \`blindference test-determinism --help\`.",
      "2 --runs must be a number from 2 to 100000 [USAGE_INVALID_OPTION] | Run \`blindference test-determinism --help\`.",
      "2 --tokens must be a number from 8 to 512 [USAGE_INVALID_OPTION] | Run \`blindference test-determinism --help\`.",
      "2 --flash-attention must be on or off [USAGE_INVALID_OPTION] | Run \`blindference test-determinism --help\`.",
      "2 --batch must be a number from 1 to 4096 [USAGE_INVALID_OPTION] | Run \`blindference test-determinism --help\`.",
      "2 --batch, --flash-attention, --threads and --cpu are for models of llama.cpp [USAGE_INVALID_OPTION] | Run \`blindference test-determinism --help\`.",
      "1 Cannot read none.json (ENOENT) [FILE_ENOENT] | Check that the path exists.",
    ]
  `);
});
