import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Hardware } from "../../src/hardware/hardware.ts";
import { knownModels, memoryNeeded, modelsThatFit } from "../../src/hardware/model-sizes.ts";

function machine(available: number, gpuFree?: number, cores = 64): Hardware {
  return {
    cpu: { model: "test", cores },
    memory: { total: available * 2, available },
    gpus:
      gpuFree === undefined
        ? []
        : [{ kind: "cuda", name: "test", memoryTotal: gpuFree, memoryFree: gpuFree, driver: null }],
  };
}

describe("models that fit", () => {
  test("into 8 GB of main memory: up to 8 thousand million parameters in four bits", () => {
    const ids = modelsThatFit(machine(8e9), false).map(({ id }) => id);
    expect(ids).toEqual(["llama-3.1-8b", "qwen2.5-7b", "qwen2.5-3b", "qwen2.5-1.5b", "qwen2.5-0.5b"]);
  });

  test("a GPU counts only when this build computes on it", () => {
    const hardware = machine(4e9, 143e9);
    expect(modelsThatFit(hardware, true)[0]).toMatchObject({ id: "llama-3.3-70b", runsOn: "gpu" });
    expect(modelsThatFit(hardware, false).every(({ runsOn }) => runsOn === "cpu")).toBe(true);
    expect(modelsThatFit(hardware, false).map(({ id }) => id)).not.toContain("qwen2.5-7b");
  });

  test("a processor gets no model that it could not answer with in time", () => {
    expect(modelsThatFit(machine(64e9, undefined, 2), false)[0]?.id).toBe("qwen2.5-7b");
    expect(modelsThatFit(machine(64e9, undefined, 16), false)[0]?.id).toBe("qwen2.5-32b");
    expect(modelsThatFit(machine(64e9, 64e9, 2), true)[0]).toMatchObject({ id: "llama-3.3-70b", runsOn: "gpu" });
  });

  test("nothing fits into nothing", () => {
    expect(modelsThatFit(machine(1e9), false)).toEqual([]);
  });

  test("each fits with a gigabyte left for the node, and more memory never means fewer models", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 200e9 }), fc.integer({ min: 0, max: 50e9 }), (available, more) => {
        const fits = modelsThatFit(machine(available), false);
        for (const model of fits) expect(model.memory + 1e9).toBeLessThanOrEqual(available);
        const ids = modelsThatFit(machine(available + more), false).map(({ id }) => id);
        for (const { id } of fits) expect(ids).toContain(id);
      }),
    );
  });
});

test("the list goes from small to large, and a loaded model takes more than its file", () => {
  const sizes = knownModels.map(({ gigabytes }) => gigabytes);
  expect(sizes).toEqual([...sizes].sort((a, b) => a - b));
  for (const model of knownModels) {
    expect(memoryNeeded(model)).toBeGreaterThan(model.gigabytes * 1e9);
    expect(model.file).toMatch(/\.gguf$/);
  }
});
