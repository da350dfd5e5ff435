import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Backend } from "../../../src/inference/backend.ts";
import { createLlamaBackends } from "../../../src/inference/llama/backend.ts";
import { createEngine, type Engine } from "../../../src/inference/llama/engine.ts";
import { openLlamaLibrary } from "../../../src/inference/llama/library.ts";
import { gpuEnvironment } from "../../../src/inference/llama/packs/gpu-environment.ts";
import { createEngineSupervisor } from "../../../src/inference/llama/supervisor.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { engineCommand, failureOf, never, recordingLogger, temporaryDirectory } from "../fixture.ts";

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

test.skipIf(hasMetal).each(["process", "none"] as const)(
  "models for the CPU and for a GPU have nothing in common, whatever the isolation: %s",
  async (isolation) => {
    const path = directory.model("mixed.gguf", { seed: 4 });
    const models = { cpu: { path }, gpu: { path, gpuLayers: 2 }, other: { path, maxTokens: 8 } };
    const { log, entries } = recordingLogger();
    const backends = createLlamaBackends({ models, isolation, log, clock: systemClock, command: engineCommand });
    expect(backends.map(({ name, models }) => [name, models()])).toEqual([
      ["llama", ["cpu", "other"]],
      ["llama-gpu", ["gpu"]],
    ]);
    const [onCpu, onGpu] = backends as [Backend, Backend];
    expect((await failureOf(() => onGpu.warm("gpu", never))).code).toBe("ENGINE_NO_GPU");
    await onCpu.warm("cpu", never);
    expect(onCpu.determinismClass("cpu")).toContain("/cpu:");
    expect([onCpu.health().status, onGpu.health().status]).toEqual(["healthy", "degraded"]);
    const processes = entries.filter(({ message }) => message === "the engine's process is ready");
    expect(new Set(processes.map(({ pid }) => pid)).size).toBe(isolation === "none" ? 1 : 2);
    for (const backend of backends) await backend.close();
  },
);

test("only the process of a GPU hears where its libraries and devices are", async () => {
  const shell = { LD_LIBRARY_PATH: "/opt/cuda/lib64", CUDA_VISIBLE_DEVICES: "1", VK_DRIVER_FILES: "/icd.json" };
  expect(
    gpuEnvironment({ ...shell, BLF_KEY_PASSWORD: "secret", LD_PRELOAD: "/x.so", VK_ICD_FILENAMES: undefined }),
  ).toEqual(shell);
  const script = `
    process.on("message", ({ op, id }) => {
      if (op !== "open") process.send({ event: "done", id, result: { determinismClass: process.env.CUDA_VISIBLE_DEVICES ?? "none" } });
    });
    process.send({ event: "ready" });`;
  const model = { modelId: "m", path: "/m.gguf", maxTokens: 1, gpuLayers: 0 };
  const before = process.env["CUDA_VISIBLE_DEVICES"];
  process.env["CUDA_VISIBLE_DEVICES"] = "7";
  try {
    const heard: string[] = [];
    for (const gpu of [true, false]) {
      const command = [process.execPath, "--eval", script];
      const setup = { threads: 1, sequences: 1, gpu, clock: systemClock, command, log: recordingLogger().log };
      const engine = createEngineSupervisor(setup);
      heard.push((await engine.load(model, never)).determinismClass);
      await engine.close();
    }
    expect(heard).toEqual(["7", "none"]);
  } finally {
    if (before === undefined) delete process.env["CUDA_VISIBLE_DEVICES"];
    else process.env["CUDA_VISIBLE_DEVICES"] = before;
  }
});

test.skipIf(hasMetal)("the library says why there is no GPU, and that it computes on the CPU", async () => {
  const { llama, device, gpuFailure } = await openLlamaLibrary({ threads: 1, gpu: true, log: recordingLogger().log });
  try {
    expect(gpuFailure?.code).toBe("ENGINE_NO_GPU");
    expect(device).toStartWith("cpu:");
  } finally {
    await llama.dispose();
  }
});
