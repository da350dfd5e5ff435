import { afterAll, beforeAll, expect, test } from "bun:test";
import { createEngine, type Engine } from "../../../src/inference/llama/engine.ts";
import { openLlamaLibrary } from "../../../src/inference/llama/library.ts";
import { failureOf, never, recordingLogger, temporaryDirectory } from "../fixture.ts";

const hasMetal = process.platform === "darwin" && process.arch === "arm64";

let directory: ReturnType<typeof temporaryDirectory>;
const engines: Engine[] = [];
const open = (gpu: boolean) => {
  const engine = createEngine({ threads: 1, sequences: 1, gpu, log: recordingLogger().log });
  engines.push(engine);
  return engine;
};
// The cache is a new one, so no engine for a GPU is installed in it.
beforeAll(() => {
  directory = temporaryDirectory();
});
afterAll(async () => {
  for (const engine of engines) await engine.close();
  directory.remove();
});

test.skipIf(hasMetal)(
  "without a GPU its models are refused, and those of the CPU answer as they would alone",
  async () => {
    const path = directory.model("tiny.gguf", { seed: 3, says: "anything" });
    const model = (gpuLayers: number) => ({ modelId: "tiny", path, maxTokens: 16, gpuLayers });
    const alone = await open(false).generate(model(0), "the river", { signal: never });
    const beside = open(true);
    const refused = async () => {
      const { code, hint } = await failureOf(() => beside.generate(model(1), "the river", { signal: never }));
      return [code, hint.includes("gpu_layers")];
    };
    expect(await refused()).toEqual(["ENGINE_NO_GPU", true]);
    const answer = await beside.generate(model(0), "the river", { signal: never });
    expect([answer.text, answer.determinismClass]).toEqual([alone.text, alone.determinismClass]);
    expect(await refused()).toEqual(["ENGINE_NO_GPU", true]);
  },
);

test.skipIf(hasMetal)("the library says why there is no GPU, and that it computes on the CPU", async () => {
  const { llama, device, gpuFailure } = await openLlamaLibrary({ threads: 1, gpu: true, log: recordingLogger().log });
  try {
    expect(gpuFailure?.code).toBe("ENGINE_NO_GPU");
    expect(device).toStartWith("cpu:");
  } finally {
    await llama.dispose();
  }
});
