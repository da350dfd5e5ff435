import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { truncateSync } from "node:fs";
import {
  createEngine,
  type Engine,
  type EngineModel,
  type EngineOptions,
} from "../../../src/inference/llama/engine.ts";
import { usableCores } from "../../../src/inference/llama/threads.ts";
import { failureOf, never, recordingLogger, temporaryDirectory } from "../fixture.ts";

describe("engine in this process", () => {
  let directory: ReturnType<typeof temporaryDirectory>;
  let engine: Engine;
  let words: EngineModel;
  let anything: EngineModel;

  const model = (modelId: string, path: string, maxTokens = 24): EngineModel => ({
    modelId,
    path,
    maxTokens,
    gpuLayers: 0,
  });
  const open = (options: Partial<EngineOptions> = {}) =>
    createEngine({ threads: 1, sequences: 1, gpu: false, log: recordingLogger().log, ...options });
  const say = (prompt: string, wanted = words, signal = never) => engine.generate(wanted, prompt, { signal });

  beforeAll(() => {
    directory = temporaryDirectory();
    words = model("words", directory.model("words.gguf", { seed: 1, type: "q8_0" }));
    anything = model(
      "anything",
      directory.model("anything.gguf", { seed: 7, says: "anything", contextLength: 256 }),
      48,
    );
    engine = open();
  });
  afterAll(async () => {
    await engine.close();
    directory.remove();
  });

  test("says the same to the same prompt, whatever was said before", async () => {
    const first = await say('héllo, 世界 "quoted"');
    const other = await say("something else entirely");
    const again = await say('héllo, 世界 "quoted"');
    expect(again.text).toBe(first.text);
    expect(other.text).not.toBe(first.text);
    expect(first.outputTokens).toBe(24);
    expect(first.finishReason).toBe("length");
    expect(first.text.trim().split(" ")).toHaveLength(24);
  });

  test("names its determinism class", async () => {
    const { determinismClass } = await say("x");
    expect(determinismClass).toMatch(
      /^gguf:[0-9a-f]{12}\/llama\.cpp:[^/]+\/cpu:[^/@]+@[^/]+\/ctx2048\/b32\/no-fa\/kv-f16\/greedy\/max24\/raw$/,
    );
    const { determinismClass: ofOther } = await engine.load(anything, never);
    expect(ofOther.split("/")[0]).not.toBe(determinismClass.split("/")[0]);
  });

  test("gives valid text even for tokens that are no characters, and pieces that make it up", async () => {
    for (const prompt of ["a", "bc", "the stone", "\u0000\u{1f600}"]) {
      const pieces: string[] = [];
      const options = { signal: never, onToken: (piece: string) => pieces.push(piece) };
      const { text } = await engine.generate(anything, prompt, options);
      expect(new TextDecoder("utf-8", { fatal: true }).decode(new TextEncoder().encode(text))).toBe(text);
      expect(pieces.join("")).toBe(text);
      expect((await say(prompt, anything)).text).toBe(text);
    }
  });

  test("takes control tokens in a prompt for the letters that they are written with", async () => {
    const plain = await say("");
    const { promptTokens } = await say("</s><s>");
    expect(plain.promptTokens).toBe(1);
    expect(promptTokens).toBeGreaterThan(3);
  });

  test("stops where the model stops", async () => {
    const reasons = new Set<string>();
    const long = { ...anything, maxTokens: 200 };
    for (let i = 0; i < 40 && !reasons.has("stop"); i++) {
      const { finishReason, outputTokens } = await say(`prompt ${i}`, long);
      if (finishReason === "stop") expect(outputTokens).toBeLessThan(200);
      reasons.add(finishReason);
    }
    expect([...reasons]).toContain("stop");
  });

  test("fills the context to its end and refuses what does not fit", async () => {
    const small = { ...words, contextSize: 256, maxTokens: 1000 };
    // "!" is one token each time, and SentencePiece puts a space before the first.
    const fitting = await say("!".repeat(250), small);
    expect(fitting.finishReason).toBe("length");
    expect(fitting.promptTokens + fitting.outputTokens).toBe(256);
    const error = await failureOf(() => say("!".repeat(400), small));
    expect(error.code).toBe("MODEL_PROMPT_TOO_LONG");
    expect(error.message).not.toContain("!");
    expect((await say("!".repeat(250), small)).text).toBe(fitting.text);
  });

  test("refuses a context that the model was not trained for", async () => {
    expect((await failureOf(() => engine.load({ ...words, contextSize: 4096 }, never))).code).toBe(
      "MODEL_CONTEXT_TOO_LARGE",
    );
  });

  test("ends within a token when aborted, and is free again", async () => {
    const expected = (await say("abort me")).text;
    const controller = new AbortController();
    const reason = new Error("deadline");
    let tokens = 0;
    const onToken = () => {
      if (++tokens === 5) controller.abort(reason);
    };
    const endless = { ...words, maxTokens: 2000 };
    await expect(engine.generate(endless, "abort me", { signal: controller.signal, onToken })).rejects.toBe(reason);
    expect(tokens).toBe(5);
    expect((await say("abort me")).text).toBe(expected);
  });

  test("takes prompts in turn, and forgets those that are aborted while they wait", async () => {
    const alone = [await say("one"), await say("two")];
    const controller = new AbortController();
    const [first, waiting, second] = [say("one"), say("three", words, controller.signal), say("two")];
    controller.abort();
    await expect(waiting).rejects.toBe(controller.signal.reason);
    expect([(await first).text, (await second).text]).toEqual(alone.map(({ text }) => text));
  });

  test("changes models only between generations", async () => {
    const [a, b] = [await say("switch"), await say("switch", anything)];
    const together = await Promise.all([
      say("switch"),
      say("switch", anything),
      say("switch"),
      say("switch", anything),
    ]);
    expect(together.map(({ text }) => text)).toEqual([a.text, b.text, a.text, b.text]);
  });

  test("keeps the model that works when another cannot be loaded", async () => {
    const before = await say("still here");
    const broken = directory.model("broken.gguf");
    truncateSync(broken, 5000);
    expect((await failureOf(() => engine.load(model("broken", broken), never))).code).toBe("MODEL_TRUNCATED");
    expect((await failureOf(() => engine.load(model("none", `${broken}.none`), never))).code).toBe("MODEL_NOT_FOUND");
    expect((await say("still here")).text).toBe(before.text);
  });

  test("refuses a GPU that it has no kernels for", async () => {
    if (process.platform === "darwin" && process.arch === "arm64") return;
    const other = open({ gpu: true });
    const error = await failureOf(() => other.load({ ...words, gpuLayers: 1 }, never));
    expect(error.code).toBe("ENGINE_NO_GPU");
    await other.close();
  });

  test.skipIf(usableCores() < 2)(
    "says the same with one thread and with two, also beyond 256 tokens",
    async () => {
      // Flash attention would divide the work of a token from there on, and this model then says something else with each number.
      const path = directory.model("wide.gguf", { seed: 5, layers: 8, type: "q8_0", says: "anything" });
      const prompt = "the light stone river 12 ".repeat(40);
      const texts: string[] = [];
      for (const threads of [1, 2]) {
        const other = open({ threads });
        const generation = await other.generate(model("wide", path, 12), prompt, { signal: never });
        expect(generation.promptTokens).toBeGreaterThan(256);
        texts.push(generation.text);
        await other.close();
      }
      expect(texts[1]).toBe(texts[0]!);
    },
    60_000,
  );
});
