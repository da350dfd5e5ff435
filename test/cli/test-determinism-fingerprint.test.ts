import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildTinyModel } from "../../native/tiny-model.ts";
import { outputs } from "../../src/cli/test-determinism.ts";
import { fingerprintSchema } from "../../src/inference/determinism/fingerprint.ts";
import { cpuFeatures, cpuVariants, hostTarget } from "../../src/inference/llama/platform.ts";
import { usableCores } from "../../src/inference/llama/threads.ts";
import { errorText } from "./expect-error.ts";
import { nodeDirectory } from "./node-directory.ts";
import { runCli } from "./run-cli.ts";

setDefaultTimeout(240_000);

let scratch: string;
let at: ReturnType<typeof node>;
const file = (name: string) => join(scratch, name);

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), "blf-fingerprint-"));
  const bytes = buildTinyModel({ type: "q8_0" });
  writeFileSync(file("tiny.gguf"), bytes);
  const at60 = Math.floor(bytes.length * 0.6);
  bytes[at60] = bytes[at60]! ^ 0x80;
  writeFileSync(file("flipped.gguf"), bytes);
  at = node();
  expect((await at.run("--model", "tiny", "--export", file("fp.json"))).code).toBe(0);
});
afterAll(() => {
  at[Symbol.dispose]();
  rmSync(scratch, { recursive: true, force: true });
});

function node() {
  const context = { context_size: 128 };
  const models = {
    tiny: { path: file("tiny.gguf"), ...context },
    flipped: { path: file("flipped.gguf"), ...context },
    // Two prompts only: several threads are many times slower on a machine that is busy with other tests.
    small: { path: file("tiny.gguf"), context_size: 64 },
  };
  const directory = nodeDirectory({ models, mock_model_ids: ["mock-a"], engine: { threads: 1 } });
  const env = { ...directory.env, XDG_CACHE_HOME: file("cache") };
  return { ...directory, run: (...args: string[]) => runCli(["test-determinism", ...args], { env }) };
}

type Agreement = { agrees: boolean; answersEqual: boolean; differences: { kind: string; detail: string }[] };

async function against(name: string, ...args: string[]): Promise<Agreement> {
  const { code, stdout, stderr } = await at.run("--against", file(name), ...args, "--json");
  expect(stderr).toBe("");
  const document = outputs["test-determinism"]!.parse(JSON.parse(stdout)) as { ok: boolean; agreement: Agreement };
  expect([document.ok, code]).toEqual(document.agreement.agrees ? [true, 0] : [false, 1]);
  return document.agreement;
}

test("a fingerprint holds hashes of what was computed, and no text", () => {
  const text = readFileSync(file("fp.json"), "utf8");
  const fingerprint = fingerprintSchema.parse(JSON.parse(text));
  expect(fingerprint).toMatchObject({ model: "tiny", threads: 1 });
  expect(fingerprint.proofs.map(({ name }) => name)).toEqual(
    ["31", "32", "33", "63", "64", "65"].map((n) => `${n} tokens`),
  );
  expect(text).not.toContain("water");
});

test.skipIf(usableCores() < 2)("another process with other threads confirms it", async () => {
  expect((await at.run("--model", "small", "--export", file("small.json"))).code).toBe(0);
  const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
  const args = ["test-determinism", "--model", "small", "--against", file("small.json"), "--threads", "2", "--json"];
  // Not through runCli, which has less patience.
  const child = Bun.spawn([process.execPath, main, ...args], {
    env: { ...at.env, HOME: scratch, PATH: "/usr/bin:/bin", XDG_CACHE_HOME: file("cache") },
    stdout: "pipe",
    stderr: "pipe",
    timeout: 230_000,
  });
  const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  expect([stderr, code]).toEqual(["", 0]);
  expect((JSON.parse(stdout) as { agreement: Agreement }).agreement).toMatchObject({ agrees: true, compared: 2 });
});

const variants = cpuVariants[hostTarget()];
const isBest = variants.length > 1 && variants[0]!.needs.every((need) => cpuFeatures().has(need));

test.skipIf(!isBest)("another CPU variant denies it, in its class and in what it computes", async () => {
  const { agrees, answersEqual, differences } = await against("fp.json", "--model", "tiny", "--cpu", variants[1]!.name);
  expect([agrees, answersEqual]).toEqual([false, false]);
  expect(differences[0]!.detail).toMatch(/^CPU variant: cpu:\S+ there, cpu:\S+ here$/);
  expect(differences.some(({ kind }) => kind === "tokens" || kind === "logits")).toBe(true);
});

test("a model with one flipped weight denies it, by its hash and by its numbers", async () => {
  const { agrees, answersEqual, differences } = await against("fp.json", "--model", "flipped");
  expect([agrees, answersEqual]).toEqual([false, false]);
  expect(differences[0]!.detail).toStartWith("model file: gguf:");
  const { code, stdout } = await at.run("--against", file("fp.json"), "--model", "flipped");
  expect(code).toBe(1);
  expect(stdout).toContain("would not agree");
});

test("another batch denies it, though what it computes may be equal", async () => {
  const { agrees, differences } = await against("fp.json", "--model", "tiny", "--batch", "64");
  expect([agrees, differences[0]]).toEqual([false, { kind: "class", detail: "batch: b32 there, b64 here" }]);
});

test("backends without tokens have a fingerprint of their texts", async () => {
  expect((await at.run("--model", "mock-a", "--export", file("mock.json"))).code).toBe(0);
  expect(await against("mock.json", "--model", "mock-a")).toMatchObject({ agrees: true, answersEqual: true });
  expect((await against("fp.json", "--model", "mock-a")).agrees).toBe(false);
});

test("files that cannot be used are refused before anything is computed", async () => {
  writeFileSync(file("half.json"), readFileSync(file("fp.json"), "utf8").slice(0, 300));
  writeFileSync(file("large.json"), "x".repeat(1_000_001));
  const lines: string[] = [];
  for (const name of ["none.json", "half.json", "large.json", "tiny.gguf"])
    lines.push(errorText(await at.run("--model", "tiny", "--against", file(name)), scratch));
  lines.push(errorText(await at.run("--model", "tiny", "--export", file("none/fp.json")), scratch));
  lines.push(errorText(await at.run("--model", "tiny", "--against", file("fp.json"), "--cpu", "pentium"), scratch));
  expect(lines).toMatchInlineSnapshot(`
    [
      "1 Cannot read DIR/none.json (ENOENT) [FILE_ENOENT] | Check that the path exists.",
      "1 The file is no fingerprint that can be used: it is not JSON [FINGERPRINT_INVALID] | Write one with \`blindference test-determinism --export fp.json\`, with the same version of the program on both machines.",
      "1 The file is no fingerprint that can be used: it is not JSON [FINGERPRINT_INVALID] | Write one with \`blindference test-determinism --export fp.json\`, with the same version of the program on both machines.",
      "1 The file is no fingerprint that can be used: it is not JSON [FINGERPRINT_INVALID] | Write one with \`blindference test-determinism --export fp.json\`, with the same version of the program on both machines.",
      "1 Cannot write DIR/none/fp.json (ENOENT) [FILE_ENOENT] | Check that the path exists.",
      "1 This build has no such CPU variant [CPU_VARIANT_UNKNOWN] | These are in it: haswell, x64.",
    ]
  `);
});
