import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildTinyModel } from "../../native/tiny-model.ts";
import { outputs } from "../../src/cli/test-determinism.ts";
import { errorText, jsonErrorText } from "./expect-error.ts";
import { nodeDirectory } from "./node-directory.ts";
import { runCli } from "./run-cli.ts";

setDefaultTimeout(120_000);

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "blf-determinism-"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

type Prompt = { name: string; promptTokens: number; outputTokens: number; sha256: string; tokensPerSecond: number };
type Document = { determinismClass: string; compared: number; prompts: Prompt[]; skipped: string[]; notices: string[] };

function node(config: Record<string, unknown>) {
  const directory = nodeDirectory(config);
  const env = { ...directory.env, XDG_CACHE_HOME: join(scratch, "cache") };
  const run = (...args: string[]) => runCli(["test-determinism", ...args], { env });
  return {
    ...directory,
    run,
    document: async (...args: string[]) => {
      const result = await run(...args, "--json");
      expect([result.stderr, result.code]).toEqual(["", 0]);
      return outputs["test-determinism"]!.parse(JSON.parse(result.stdout)) as Document;
    },
  };
}

const model = buildTinyModel({ says: "anything" });
const local = (settings: Record<string, unknown> = {}) => {
  writeFileSync(join(scratch, "tiny.gguf"), model);
  return { models: { tiny: { path: join(scratch, "tiny.gguf"), max_tokens: 60, ...settings } } };
};

test("a model of llama.cpp gives equal answers at once, after another prompt and in a fresh engine", async () => {
  using at = node(local());
  const document = await at.document("--runs", "2");
  expect(document.prompts.map(({ name }) => name)).toEqual(["short", "long", "very long"]);
  expect(document.prompts.filter(({ promptTokens }) => promptTokens > 150)).toHaveLength(2);
  for (const { sha256, tokensPerSecond } of document.prompts) {
    expect(sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(tokensPerSecond).toBeGreaterThan(0);
  }
  // Per prompt: one repetition, one after another prompt, one in a fresh engine.
  expect([document.compared, document.skipped, document.notices]).toEqual([9, [], []]);
  expect(document.determinismClass).toEndWith("/greedy/max60/raw");
  const own = await at.document("--runs", "2", "--prompt", "What is 2 + 2?", "--model", "tiny");
  expect(own.prompts.map(({ name }) => name)).toEqual(["yours", "long", "very long"]);
  expect(own.prompts.slice(1).map(({ sha256 }) => sha256)).toEqual(
    document.prompts.slice(1).map(({ sha256 }) => sha256),
  );
});

test("prompts that do not fit into the context are named, and their absence is", async () => {
  using at = node(local({ context_size: 128 }));
  const document = await at.document("--runs", "2");
  expect([document.skipped, document.compared]).toEqual([["long", "very long"], 3]);
  expect(document.notices).toHaveLength(2);
  const { code, stdout } = await at.run("--runs", "2");
  expect(code).toBe(0);
  expect(stdout).toContain("result  all 3 repetitions equal the first answer, byte for byte\n");
  expect(stdout).toContain("note    no prompt had more than 150 tokens");
  const tooLong = await at.run("--prompt", "word ".repeat(200));
  expect(errorText(tooLong)).toContain("[MODEL_PROMPT_TOO_LONG]");
});

test.each([
  ["in run 2", "answers + Math.random()", 'the prompt "short" differently in run 2: from character 8 on'],
  [
    "after another prompt",
    "(unrelated ? 1 : 0)",
    'the prompt "short" differently after another prompt: from character 8 on',
  ],
  ["in a fresh engine", "process.pid", 'the prompt "very long" differently in a fresh engine: from character'],
])("an answer that differs %s fails, and the place is named", async (_name, expression, words) => {
  const path = join(scratch, `differs-${words.length}.ts`);
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
  const [plain, json] = [await at.run("--runs", "2"), await at.run("--runs", "2", "--json")];
  const message = `1 fickle-1 answers ${words}`;
  expect(jsonErrorText(json)).toStartWith(message);
  expect(jsonErrorText(json)).toContain("[DETERMINISM_BROKEN] | Do not serve it");
  expect([plain.code, plain.stderr]).toEqual([1, expect.stringContaining("[DETERMINISM_BROKEN]")]);
  expect(plain.stdout).toContain("SHA-256 OF THE ANSWER");
});

test("what cannot be tested", async () => {
  using at = node({ mock_model_ids: ["mock-a", "mock-b"] });
  const lines: string[] = [];
  for (const args of [
    [],
    ["--model", "none"],
    ["--model", "mock-a", "--runs", "1"],
    ["--model", "mock-a", "--runs", "x"],
  ])
    lines.push(errorText(await at.run(...args)));
  expect(lines).toMatchInlineSnapshot(`
    [
      "2 There are 2 models [MODEL_MISSING] | Name one with --model, for example --model mock-a.",
      "2 No backend serves the model none [MODEL_UNKNOWN] | Run \`blindference models list\` to see the models.",
      "2 --runs must be a number from 2 to 999 [USAGE_INVALID_OPTION] | Run \`blindference test-determinism --help\`.",
      "2 --runs must be a number from 2 to 999 [USAGE_INVALID_OPTION] | Run \`blindference test-determinism --help\`.",
    ]
  `);
});
