import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { tinyArchitectures } from "../../native/tiny-architectures.ts";
import { weightTypes } from "../../native/weights.ts";
import { createEngine, type Engine } from "../../src/inference/llama/engine.ts";
import { never, recordingLogger, temporaryDirectory } from "../inference/fixture.ts";

const prompts = ["hello you", "the river is deep", "Zq9!", "a", "stone and light", "(x+y)", "path", "0123"];

describe("tiny models in llama.cpp", () => {
  let directory: ReturnType<typeof temporaryDirectory>;
  let engine: Engine;
  beforeAll(() => {
    directory = temporaryDirectory();
    engine = createEngine({ threads: 1, sequences: 1, gpu: false, log: recordingLogger().log });
  });
  afterAll(async () => {
    await engine.close();
    directory.remove();
  });

  const say = async (path: string, prompt: string, maxTokens = 12) =>
    (await engine.generate({ modelId: path, path, maxTokens, gpuLayers: 0 }, prompt, { signal: never })).text;

  const matrix = tinyArchitectures.flatMap((architecture) => weightTypes.map((type) => [architecture, type] as const));

  test.each(matrix)("%s of %s writes words, and others after another prompt", async (architecture, type) => {
    const path = directory.model(`${architecture}-${type}.gguf`, { architecture, type, seed: 4 });
    const [first, second] = [await say(path, prompts[0]!), await say(path, prompts[1]!)];
    expect(first.trim().split(" ")).toHaveLength(12);
    expect(new Set(first.trim().split(" ")).size).toBeGreaterThan(3);
    expect(second).not.toBe(first);
    expect(await say(path, prompts[0]!)).toBe(first);
  });

  // Four bits leave noise that may change a close choice; a block that llama.cpp reads otherwise would leave one word in fifty.
  test.each(tinyArchitectures)("%s says nearly the same in 8 bits as in floats", async (architecture) => {
    const same = { architecture, seed: 9, dim: 256, ff: 256 };
    const wide = directory.model(`${architecture}-wide.gguf`, { ...same, type: "f16" });
    const words: Record<string, string[]> = { floats: [] };
    for (const prompt of prompts) words["floats"]!.push(await say(wide, prompt, 1));
    for (const [type, atLeast] of [
      ["q8_0", 6],
      ["q4_k", 3],
      ["q4_0", 2],
    ] as const) {
      const path = directory.model(`${architecture}-${type}-wide.gguf`, { ...same, type });
      let equal = 0;
      for (const [index, prompt] of prompts.entries())
        if ((await say(path, prompt, 1)) === words["floats"]![index]) equal++;
      expect({ type, equal: equal >= atLeast ? "enough" : equal }).toEqual({ type, equal: "enough" });
    }
  });
});
