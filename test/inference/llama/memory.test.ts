import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createEngine, type EngineModel } from "../../../src/inference/llama/engine.ts";
import { readGgufFile } from "../../../src/inference/llama/gguf.ts";
import {
  availableMemory,
  checkMemory,
  divideMemory,
  estimateMemory,
  layersOf,
} from "../../../src/inference/llama/memory.ts";
import { gpuShare } from "../../../src/inference/llama/plan.ts";
import { failureOf, never, recordingLogger, temporaryDirectory } from "../fixture.ts";

const gigabyte = 1e9;

describe("the memory of a model", () => {
  let directory: ReturnType<typeof temporaryDirectory>;
  beforeAll(() => {
    directory = temporaryDirectory();
  });
  afterAll(() => directory.remove());

  test("is its file, and a key and a value of 16 bits for each layer and token of each sequence", () => {
    // 64 wide with 4 heads is 16 per head; 2 heads have keys and values.
    const header = readGgufFile(directory.model("m.gguf", { dim: 64, heads: 4, kvHeads: 2, layers: 3 }));
    const options = { header, fileSize: 182_000, contextSize: 1000, sequences: 1, batchSize: 32 };
    const one = estimateMemory(options);
    expect(one.weights).toBe(182_000);
    expect(one.context).toBe(3 * 2 * (16 + 16) * 2 * 1000);
    expect(estimateMemory({ ...options, sequences: 4 }).context).toBe(4 * one.context);
    expect(one.work).toBeGreaterThan(2 ** 20);
    expect(layersOf(header)).toBe(3);
    expect([0, 2, 4, 99].map((layers) => gpuShare(header, layers))).toEqual([0, 0.5, 1, 1]);
  });

  test("is close to what llama.cpp says that it takes", async () => {
    const path = directory.model("state.gguf", { dim: 128, heads: 4, kvHeads: 2, layers: 4, type: "q8_0" });
    const { openLlamaLibrary } = await import("../../../src/inference/llama/library.ts");
    const { llama } = await openLlamaLibrary({ threads: 1, gpu: false, log: recordingLogger().log });
    const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 });
    const context = await model.createContext({ contextSize: 1024, batchSize: 32, flashAttention: false });
    const sequence = context.getSequence();
    const tokens = model.tokenize("the light stone ".repeat(400), false).slice(0, 1000);
    await sequence.evaluateWithoutGeneratingNewTokens(tokens);
    const header = readGgufFile(path);
    const need = estimateMemory({ header, fileSize: 1, contextSize: 1000, sequences: 1, batchSize: 32 });
    expect(context.stateSize / need.context).toBeGreaterThan(0.9);
    expect(context.stateSize / need.context).toBeLessThan(1.3);
    await llama.dispose();
  });

  test("is divided between the computer and its GPU", () => {
    const need = { weights: 8 * gigabyte, context: 2 * gigabyte, work: gigabyte };
    expect(divideMemory(need, 0)).toEqual({ ram: need, vram: { weights: 0, context: 0, work: 0 } });
    expect(divideMemory(need, 0.5).vram).toEqual({ weights: 4 * gigabyte, context: gigabyte, work: gigabyte });
    expect(divideMemory(need, 1).ram).toEqual({ weights: 0, context: 0, work: gigabyte });
  });

  test("is refused with figures when there is less", async () => {
    const need = { weights: 8 * gigabyte, context: 2 * gigabyte, work: 0.5 * gigabyte };
    checkMemory(need, 10.5 * gigabyte, "memory");
    const error = await failureOf(() => checkMemory(need, 10.4 * gigabyte, "memory"));
    expect(error.code).toBe("MODEL_TOO_LARGE");
    expect(error.message).toBe(
      "The model needs about 10.5 GB of memory (8.0 GB weights, 2.0 GB context, 0.5 GB work space), and 10.4 GB are free",
    );
    expect((await failureOf(() => checkMemory(need, 1, "GPU memory"))).hint).toContain("gpu_layers");
  });

  test("is looked at before anything is loaded, and what the model before it gives back counts", async () => {
    const model = (name: string, seed: number): EngineModel => ({
      modelId: name,
      path: directory.model(name, { seed, type: "q8_0" }),
      maxTokens: 4,
      gpuLayers: 0,
    });
    let available = gigabyte;
    const { log, entries } = recordingLogger();
    const options = { threads: 1, sequences: 1, gpu: false, log, availableMemory: () => available };
    const engine = createEngine(options);
    const [a, b] = [model("a.gguf", 1), model("b.gguf", 2)];
    available = 1e6;
    expect((await failureOf(() => engine.load(a, never))).code).toBe("MODEL_TOO_LARGE");
    expect(entries).toEqual([]);
    available = gigabyte;
    await engine.load(a, never);
    // Next to nothing is free now, but the first model's context is given up for the second.
    available = 1e6;
    await engine.load(b, never);
    await engine.close();
  });
});

describe("the memory that is available", () => {
  const files = { "/proc/meminfo": "MemTotal: 16000 kB\nMemAvailable:    8000 kB\n" };
  const of = (more: Record<string, string>, total = 1e9) =>
    availableMemory({ readText: (path) => ({ ...files, ...more })[path], total });

  test("is what Linux says", () => {
    expect(of({})).toBe(8000 * 1024);
    expect(availableMemory({ readText: () => undefined, total: 123 })).toBe(123);
  });

  test("is limited by cgroup v2, less its files' pages", () => {
    const group = {
      "/proc/self/cgroup": "0::/a/b\n",
      "/sys/fs/cgroup/a/b/memory.max": "max\n",
      "/sys/fs/cgroup/a/b/memory.current": "1000000\n",
      "/sys/fs/cgroup/a/memory.max": "5000000\n",
      "/sys/fs/cgroup/a/memory.current": "3000000\n",
    };
    expect(of(group)).toBe(2_000_000);
    const stat = "anon 2000000\ninactive_file 900000\nactive_file 5\n";
    expect(of({ ...group, "/sys/fs/cgroup/a/memory.stat": stat })).toBe(2_900_000);
    expect(of({ ...group, "/sys/fs/cgroup/a/memory.current": "9000000\n" })).toBe(0);
  });

  test("is limited by cgroup v1", () => {
    const group = {
      "/proc/self/cgroup": "3:memory:/docker/1\n2:cpu:/x\n",
      "/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": "4000000\n",
      "/sys/fs/cgroup/memory/docker/1/memory.usage_in_bytes": "1500000\n",
      "/sys/fs/cgroup/memory/docker/1/memory.stat": "inactive_file 1\ntotal_inactive_file 500000\n",
    };
    expect(of(group)).toBe(3_000_000);
  });

  test("of this machine is some", () => {
    expect(availableMemory()).toBeGreaterThan(1e6);
  });
});
