import { readFileSync } from "node:fs";

/**
 * Whether this process computes with the GPU kernels that llama.cpp takes last, those for an older CUDA: they are compiled by another
 * compiler and may round differently. `maps` is what Linux says of the files that are mapped into this process.
 */
export function loadedFallback(maps = processMaps()): boolean {
  return /\/fallback\/libggml-[a-z]+\.so$/m.test(maps);
}

function processMaps(): string {
  return process.platform === "linux" ? readFileSync("/proc/self/maps", "latin1") : "";
}
