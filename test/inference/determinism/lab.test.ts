import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { compareFingerprints } from "../../../src/inference/determinism/compare-fingerprints.ts";
import { createFingerprint, proveTokens } from "../../../src/inference/determinism/fingerprint.ts";
import { type Lab, nodeSetting, openLab } from "../../../src/inference/determinism/lab.ts";
import { runLabRows } from "../../../src/inference/determinism/lab-rows.ts";
import { lengthPrompts, missingLengths } from "../../../src/inference/determinism/token-prompts.ts";
import { promptTokens } from "../../../src/inference/llama/generate.ts";
import { failureOf, never, recordingLogger, temporaryDirectory } from "../fixture.ts";

setDefaultTimeout(120_000);

let directory: ReturnType<typeof temporaryDirectory>;
let model: string;
beforeAll(() => {
  directory = temporaryDirectory();
  model = directory.model("q8.gguf", { type: "q8_0" });
});
afterAll(() => directory.remove());

async function withLab<T>(path: string, use: (lab: Lab) => Promise<T>, contextSize?: number): Promise<T> {
  const lab = await openLab({ path, contextSize, gpuLayers: 0, threads: 1, log: recordingLogger().log, signal: never });
  try {
    return await use(lab);
  } finally {
    await lab.close();
  }
}

const node = nodeSetting(1);
const common = { runs: 6, maxTokens: 16, cores: 1, signal: never };

test("prompts have exactly the lengths around the batch size, as many as fit, each with a text of its own", () =>
  withLab(model, async ({ model, contextSize }) => {
    const prompts = lengthPrompts(model, 2048, 32);
    expect(prompts.map(({ tokens }) => tokens.length)).toEqual([31, 32, 33, 63, 64, 65, 186, 511]);
    expect(prompts.map(({ tokens }) => tokens[0])).toEqual(prompts.map(() => model.tokens.bos!));
    expect(new Set(prompts.map(({ tokens }) => tokens.slice(1, 20).join())).size).toBe(8);
    expect(lengthPrompts(model, 96, 32).map(({ name }) => name)).toEqual([
      "31 tokens",
      "32 tokens",
      "33 tokens",
      "63 tokens",
      "64 tokens",
    ]);
    expect(missingLengths(96, 32)).toEqual(["65 tokens", "186 tokens", "511 tokens"]);
    expect(await promptTokens({ model, contextSize, prompt: "</s> the" })).not.toContain(model.tokens.eos!);
  }));

test("with the node's setting every row is identical", () =>
  withLab(model, async (lab) => {
    const prompts = lengthPrompts(lab.model, lab.contextSize, common.maxTokens);
    const { rows, references } = await runLabRows({ ...common, lab, setting: node, node, prompts, joint: false });
    expect(rows.map(({ name, verdict, compared }) => [name, verdict, compared])).toEqual([
      ["repeated 6 times", "identical", 6],
      ["after another prompt", "identical", 3],
      ["KV cache reused, whole batches", "identical", 3],
      ["KV cache reused, any token", "identical", 3],
      ["fresh context, every length", "identical", 8],
      ["1 thread", "skipped", 0],
    ]);
    expect(rows.every(({ divergence }) => divergence === null)).toBe(true);
    for (const { tokens, numbers } of references.values()) {
      expect(tokens).toHaveLength(16);
      expect([...numbers.keys()]).toEqual([0, 7, 15]);
    }
  }));

test("a batch of 512 without flash attention makes answers depend on how prompts are cut", () =>
  withLab(model, async (lab) => {
    const prompts = lengthPrompts(lab.model, lab.contextSize, 32);
    const setting = { ...node, batchSize: 512 };
    const { rows } = await runLabRows({ ...common, maxTokens: 32, lab, setting, node, prompts, joint: true });
    const differing = rows.filter(({ verdict }) => verdict === "differs");
    expect(differing.map(({ name }) => name)).toContain("prompt cut into single tokens");
    const { divergence } = differing[0]!;
    const { token, reference, found } = divergence!;
    expect(token).toBeGreaterThanOrEqual(0);
    expect([reference.tokens.length > 0, found.tokens.length > 0]).toEqual([true, true]);
    if (divergence!.kind === "tokens") expect(reference.tokens[0]).not.toBe(found.tokens[0]!);
    expect(lab.model.detokenize(reference.tokens as never, true)).toBe(reference.text);
  }));

test("flash attention answers otherwise than the node, in joint batches otherwise than alone", () =>
  withLab(model, async (lab) => {
    const prompts = lengthPrompts(lab.model, lab.contextSize, 32);
    const setting = { ...node, batchSize: 512, flashAttention: true };
    const { rows } = await runLabRows({ ...common, maxTokens: 32, lab, setting, node, prompts, joint: true });
    const verdicts = new Map(rows.map(({ name, verdict }) => [name, verdict]));
    expect(verdicts.get("the node's own setting")).toBe("differs");
    expect(verdicts.get("8 in joint batches")).toBe("differs");
    expect(verdicts.get("repeated 6 times")).toBe("identical");
  }));

test("16-bit weights round differently in joint batches", async () => {
  const path = directory.model("f16.gguf", { type: "f16" });
  await withLab(path, async (lab) => {
    const prompts = lengthPrompts(lab.model, lab.contextSize, common.maxTokens);
    const setting = { ...node, batchSize: 512 };
    const { rows } = await runLabRows({ ...common, lab, setting, node, prompts, joint: true });
    expect(rows.find(({ name }) => name === "4 in joint batches")?.verdict).toBe("differs");
  });
});

test("a fingerprint is the same twice, and another one after one weight was flipped", async () => {
  const take = (path: string) =>
    withLab(
      path,
      async (lab) => {
        const prompts = lengthPrompts(lab.model, lab.contextSize, 32);
        const proofs = await proveTokens(lab, node, prompts, never, { twice: true });
        const about = { model: "m", class: `gguf:${lab.modelSha256.slice(0, 12)}/raw`, device: lab.device, threads: 1 };
        return createFingerprint({ ...about, modelSha256: lab.modelSha256 }, proofs);
      },
      128,
    );
  const first = await take(model);
  expect(compareFingerprints(first, await take(model))).toMatchObject({ agrees: true, compared: 6 });
  const bytes = new Uint8Array(readFileSync(model));
  // Somewhere in the last third lies a layer's matrix; the highest bit of a weight's byte is its sign.
  const at = Math.floor(bytes.length * 0.6);
  bytes[at] = bytes[at]! ^ 0x80;
  const flipped = compareFingerprints(first, await take(directory.file("flipped.gguf", bytes)));
  expect([flipped.agrees, flipped.answersEqual]).toEqual([false, false]);
  expect(flipped.differences[0]!.detail).toStartWith("model file: ");
  expect(flipped.differences.slice(1).every(({ kind }) => kind === "tokens" || kind === "logits")).toBe(true);
});

test("what cannot be opened says why, and an abort is heard", async () => {
  const options = { gpuLayers: 0, threads: 1, log: recordingLogger().log, signal: never };
  const open = (changes: { path?: string; cpu?: string; signal?: AbortSignal }) =>
    failureOf(() => openLab({ ...options, path: model, ...changes }));
  expect((await open({ path: `${model}.none` })).code).toStartWith("MODEL_");
  expect((await open({ path: directory.file("text.gguf", "no model") })).code).toStartWith("MODEL_");
  expect(await open({ cpu: "pentium" })).toMatchObject({ code: "CPU_VARIANT_UNKNOWN" });
  await withLab(model, async (lab) => {
    const prompts = lengthPrompts(lab.model, lab.contextSize, 16);
    const signal = AbortSignal.abort(new Error("enough"));
    const run = runLabRows({ ...common, lab, setting: node, node, prompts, joint: false, signal });
    expect(run).rejects.toThrow("enough");
    await run.catch(() => {});
  });
});
