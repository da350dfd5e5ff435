import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildTinyModel } from "../../native/tiny-model.ts";
import { outputs } from "../../src/cli/verify-output.ts";
import { errorText } from "./expect-error.ts";
import { nodeDirectory } from "./node-directory.ts";
import { runCli } from "./run-cli.ts";

setDefaultTimeout(120_000);

const prompt = "Which river runs north?";
let scratch: string;
let at: ReturnType<typeof nodeDirectory>;
let env: Record<string, string>;
let answer: string;
const file = (name: string) => join(scratch, name);

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), "blf-verify-"));
  writeFileSync(file("tiny.gguf"), buildTinyModel({ type: "q8_0" }));
  const models = { tiny: { path: file("tiny.gguf"), max_tokens: 24 } };
  at = nodeDirectory({ models, mock_model_ids: ["mock-a"], engine: { threads: 1 } });
  env = { ...at.env, XDG_CACHE_HOME: file("cache") };
  answer = await answerOf("tiny");
  writeFileSync(file("prompt.txt"), prompt);
  writeFileSync(file("output.txt"), answer);
});
afterAll(() => {
  at[Symbol.dispose]();
  rmSync(scratch, { recursive: true, force: true });
});

async function answerOf(model: string): Promise<string> {
  const { stdout } = await runCli(["models", "test", model, prompt, "--json"], { env });
  return (JSON.parse(stdout) as { text: string }).text;
}

const run = (args: string[], stdin?: string) =>
  runCli(["verify-output", ...args], { env, ...(stdin === undefined ? {} : { stdin }) });

async function document(args: string[], stdin?: string) {
  const { code, stdout, stderr } = await run([...args, "--json"], stdin);
  expect(stderr).toBe("");
  const value = outputs["verify-output"]!.parse(JSON.parse(stdout)) as Record<string, unknown> & { ok: boolean };
  expect([value["agrees"], code]).toEqual([value.ok, value.ok ? 0 : 1]);
  return value;
}

const tiny = ["--model", "tiny", "--prompt-file"];

test("what the node's engine answered is confirmed, from files, from standard input and from arguments", async () => {
  const confirmed = { ok: true, departure: null, outputTokens: 24, model: "tiny", backend: "llama" };
  expect(await document([...tiny, file("prompt.txt"), "--output-file", file("output.txt")])).toMatchObject(confirmed);
  expect(await document([...tiny, file("prompt.txt"), "--output-file", "-"], answer)).toMatchObject(confirmed);
  const decoded = await document([...tiny, "-", "--output", answer, "--decode"], prompt);
  expect(decoded).toMatchObject({ ...confirmed, method: "decoding" });
  expect(decoded["decodingMs"]).toBeGreaterThan(0);
  expect(decoded["determinismClass"]).toEndWith("/max24/raw");
});

test("without a GPU a model with gpu_layers auto is verified on the CPU, in the class that the node reports", async () => {
  const models = { tiny: { path: file("tiny.gguf"), max_tokens: 24, gpu_layers: "auto" } };
  using auto = nodeDirectory({ models, engine: { threads: 1 } });
  const environment = { ...auto.env, XDG_CACHE_HOME: file("cache") };
  const spoken = await runCli(["models", "test", "tiny", prompt, "--json"], { env: environment });
  const { text, determinismClass } = JSON.parse(spoken.stdout) as { text: string; determinismClass: string };
  const args = ["verify-output", "--prompt", prompt, "--output", text, "--json"];
  const { code, stdout, stderr } = await runCli(args, { env: environment });
  expect([code, stderr]).toEqual([0, ""]);
  expect(JSON.parse(stdout)).toMatchObject({ agrees: true, determinismClass });
});

test("what it did not answer is denied, with the place where they part", async () => {
  const at = answer.indexOf(" ", 40);
  const changed = `${answer.slice(0, at)}!${answer.slice(at + 1)}`;
  const denied = await document([...tiny, file("prompt.txt"), "--output-file", "-"], changed);
  expect(denied).toMatchObject({ ok: false, departure: { character: at } });
  const { code, stdout } = await run([...tiny, file("prompt.txt"), "--output-file", "-"], `${answer}\n`);
  expect(code).toBe(1);
  expect(stdout).toContain("result      the model answers otherwise\n");
  expect(stdout).toContain('  given  "\\n"\n  model  (the end)\n');
  expect(stdout).toContain("ends with a line break that the model did not write");
});

test("a backend that shows no tokens is asked again", async () => {
  const args = ["--model", "mock-a", "--prompt-file", file("prompt.txt"), "--output-file", "-"];
  expect(await document(args, await answerOf("mock-a"))).toMatchObject({ ok: true, doubt: "no pass", prefillMs: null });
  expect(await document(args, "something else")).toMatchObject({ ok: false });
});

test("what cannot be verified", async () => {
  writeFileSync(file("latin1.txt"), new Uint8Array([0x67, 0x72, 0xfc, 0x6e]));
  const lines: string[] = [];
  for (const args of [
    [],
    ["--prompt", "x"],
    ["--prompt", "x", "--prompt-file", "y", "--output", "z"],
    ["--prompt-file", "-", "--output-file", "-"],
    ["--prompt-file", file("none.txt"), "--output", "x"],
    ["--prompt-file", file("latin1.txt"), "--output", "x"],
    ["--prompt", "x", "--output", "y"],
    ["--model", "none", "--prompt", "x", "--output", "y"],
    ["--model", "tiny", "--prompt", "word ".repeat(3000), "--output", "y"],
  ])
    lines.push(errorText(await run(args), scratch));
  expect(lines).toMatchInlineSnapshot(`
    [
      "2 The prompt is missing [USAGE_INVALID_OPTION] | Run \`blindference verify-output --help\`.",
      "2 The output is missing [USAGE_INVALID_OPTION] | Run \`blindference verify-output --help\`.",
      "2 Give --prompt or --prompt-file, not both [USAGE_INVALID_OPTION] | Run \`blindference verify-output --help\`.",
      "2 Only one of the two can come from standard input [USAGE_INVALID_OPTION] | Run \`blindference verify-output --help\`.",
      "1 Cannot read DIR/none.txt (ENOENT) [FILE_ENOENT] | Check that the path exists.",
      "2 A text to verify is not UTF-8 [TEXT_NOT_UTF8] | Give it as UTF-8: that is what prompts and answers are.",
      "2 There are 2 models [MODEL_MISSING] | Name one with --model, for example --model tiny.",
      "2 No backend serves the model none [MODEL_UNKNOWN] | Run \`blindference models list\` to see the models.",
      "1 The prompt has more than 2048 tokens, but the context holds 2048 [MODEL_PROMPT_TOO_LONG] | Shorten the prompt, or set a larger context_size for the model.",
    ]
  `);
});
