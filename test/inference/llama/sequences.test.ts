import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { TinyModelOptions } from "../../../native/tiny-model.ts";
import { createEngine, type Engine, type EngineModel } from "../../../src/inference/llama/engine.ts";
import { createQueue } from "../../../src/inference/llama/queue.ts";
import { never, recordingLogger, temporaryDirectory } from "../fixture.ts";

/** Of the lengths where pieces of 32 begin and end, and beyond the 256 tokens from which attention works on a further block. */
const prompts = [
  "x",
  "!".repeat(29),
  "!".repeat(31),
  "the light stone river 12 ".repeat(40),
  "abc def ghi ".repeat(5),
  "z".repeat(186),
  "open quiet hand path ".repeat(20),
  "long ".repeat(90),
];

const kinds: [string, TinyModelOptions][] = [
  ["q8_0", { type: "q8_0" }],
  ["q4_0", { type: "q4_0" }],
  ["q4_k", { type: "q4_k", dim: 256, ff: 256 }],
  ["f16", { type: "f16" }],
  ["f32", { type: "f32" }],
  ["qwen2 q8_0", { architecture: "qwen2", type: "q8_0" }],
  ["gemma2 q8_0", { architecture: "gemma2", type: "q8_0" }],
  // Wide enough that tokens of four sequences in one step came out otherwise every now and then.
  ["q8_0, wide", { type: "q8_0", dim: 512, heads: 8, kvHeads: 4, ff: 1536, layers: 8 }],
];

describe("several sequences", () => {
  let directory: ReturnType<typeof temporaryDirectory>;
  const opened: Engine[] = [];

  beforeAll(() => {
    directory = temporaryDirectory();
  });
  afterAll(async () => {
    await Promise.all(opened.map((engine) => engine.close()));
    directory.remove();
  });

  const open = (sequences: number, threads = 1) => {
    const { log, entries } = recordingLogger();
    const engine = createEngine({ threads, sequences, gpu: false, log });
    opened.push(engine);
    return { engine, entries };
  };
  const wantedOf = (path: string): EngineModel => ({
    modelId: path,
    path,
    maxTokens: 16,
    gpuLayers: 0,
    contextSize: 1100,
  });
  const say = async (engine: Engine, model: EngineModel, prompt: string) =>
    (await engine.generate(model, prompt, { signal: never })).text;

  test.each(kinds)(
    "of %s say what each says alone, and of the same class",
    async (name, options) => {
      const path = directory.model(`${name}.gguf`, { seed: 11, layers: 3, says: "anything" as const, ...options });
      const model = wantedOf(path);
      const one = open(1);
      const alone: string[] = [];
      for (const prompt of prompts) alone.push(await say(one.engine, model, prompt));
      const { determinismClass } = await one.engine.load(model, never);
      await one.engine.close();

      for (const width of [2, 3, 8]) {
        const many = open(width);
        expect((await many.engine.load(model, never)).determinismClass).toBe(determinismClass);
        const together = await Promise.all(prompts.map((prompt) => say(many.engine, model, prompt)));
        expect(together).toEqual(alone);
        expect(await staggered(many.engine, model, prompts)).toEqual(alone);
        await many.engine.close();
      }
    },
    120_000,
  );

  /** Each begins when the one before it has said some tokens. */
  async function staggered(engine: Engine, model: EngineModel, wanted: string[]): Promise<string[]> {
    const running: Promise<string>[] = [];
    for (const [index, prompt] of wanted.entries()) {
      const { promise, resolve } = Promise.withResolvers<void>();
      let tokens = 0;
      const onToken = () => void (++tokens === (index % 3) + 1 && resolve());
      const answer = engine.generate(model, prompt, { signal: never, onToken });
      running.push(answer.then(({ text }) => text).finally(resolve));
      await promise;
    }
    return Promise.all(running);
  }

  test("is aborted within one token, and the others do not notice", async () => {
    const path = directory.model("abort.gguf", { seed: 3, type: "q8_0" });
    const model = { ...wantedOf(path), maxTokens: 60 };
    const { engine } = open(4);
    const texts = ["one", "two", "three"];
    const alone: string[] = [];
    for (const prompt of texts) alone.push(await say(engine, model, prompt));
    const controller = new AbortController();
    const reason = new Error("deadline");
    let tokens = 0;
    const onToken = () => void (++tokens === 7 && controller.abort(reason));
    const others = texts.map((prompt) => say(engine, model, prompt));
    const aborted = engine.generate(model, "four", { signal: controller.signal, onToken });
    await expect(aborted).rejects.toBe(reason);
    expect(tokens).toBe(7);
    expect(await Promise.all(others)).toEqual(alone);
    expect(await Promise.all(texts.map((prompt) => say(engine, model, prompt)))).toEqual(alone);
  });

  test("never run more than there are, also when two models share them", async () => {
    const [a, b] = [4, 5].map((seed) => wantedOf(directory.model(`shared-${seed}.gguf`, { seed, type: "q8_0" })));
    const { engine } = open(2);
    const alone = [await say(engine, a!, "q"), await say(engine, b!, "q")];
    const all = await Promise.all([a!, a!, b!, a!, b!].map((model) => say(engine, model, "q")));
    expect(all).toEqual([alone[0]!, alone[0]!, alone[1]!, alone[0]!, alone[1]!]);
  });
});

test("a queue lets as many run as it is wide, in the order in which they came", async () => {
  const queue = createQueue(2);
  const gates = Array.from({ length: 4 }, () => Promise.withResolvers<void>());
  const begun: number[] = [];
  const tasks = gates.map(({ promise }, index) =>
    queue.run(never, async () => {
      begun.push(index);
      await promise;
    }),
  );
  await Promise.resolve();
  expect(begun).toEqual([0, 1]);
  gates[1]!.resolve();
  await tasks[1];
  await Promise.resolve();
  expect(begun).toEqual([0, 1, 2]);
  for (const { resolve } of gates) resolve();
  await Promise.all(tasks);
  expect(begun).toEqual([0, 1, 2, 3]);
});
