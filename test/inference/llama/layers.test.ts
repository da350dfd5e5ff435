import { expect, test } from "bun:test";
import type { LlamaLibrary } from "../../../src/inference/llama/library.ts";
import { layersFor, loadFailed } from "../../../src/inference/llama/load.ts";
import { autoGpuLayers } from "../../../src/inference/llama/plan.ts";

const library = (gpu: "cuda" | false) => ({ llama: { gpu } }) as LlamaLibrary;

test("layers are fitted beside the contexts of all sequences, as large as llama.cpp makes them", () => {
  const wanted = { gpuLayers: autoGpuLayers, contextSize: 1000, sequences: 4 };
  expect(layersFor(library("cuda"), wanted)).toEqual({ fitContext: { contextSize: 4096 } });
  expect(layersFor(library(false), wanted)).toBe(0);
});

test("a number of layers is kept, with and without a GPU", () => {
  for (const gpu of ["cuda", false] as const)
    for (const gpuLayers of [0, 7])
      expect(layersFor(library(gpu), { gpuLayers, contextSize: 1000, sequences: 4 })).toBe(gpuLayers);
});

test("a lack of memory is told with the key of the configuration that helps", () => {
  class InsufficientMemoryError extends Error {}
  const { code, hint } = loadFailed(new InsufficientMemoryError());
  expect([code, hint]).toEqual(["MODEL_TOO_LARGE", "Choose a smaller quantization or a smaller context_size."]);
  expect(loadFailed(new Error("no")).code).toBe("MODEL_LOAD_FAILED");
});
