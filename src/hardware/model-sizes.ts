import type { Hardware } from "./hardware.ts";

/** A model that is published as one GGUF file. */
export type KnownModel = {
  /** What nodes call it. */
  id: string;
  /** Quantization of the file. */
  quantization: string;
  /** Parameters in thousand millions. */
  parameters: number;
  /** Size of the file in gigabytes (10^9 bytes), rounded up. */
  gigabytes: number;
  /** Repository of the model hub that publishes it. */
  repository: string;
  /** Name of the file in it. */
  file: string;
};

/** From small to large. The sizes are those of the published files; `models pull` learns the exact ones from the hub. */
export const knownModels: readonly KnownModel[] = [
  known("qwen2.5-0.5b", "Q8_0", 0.5, 0.7, "Qwen/Qwen2.5-0.5B-Instruct-GGUF", "qwen2.5-0.5b-instruct-q8_0.gguf"),
  known("qwen2.5-1.5b", "Q8_0", 1.5, 1.9, "Qwen/Qwen2.5-1.5B-Instruct-GGUF", "qwen2.5-1.5b-instruct-q8_0.gguf"),
  known("qwen2.5-3b", "Q4_K_M", 3, 2.2, "Qwen/Qwen2.5-3B-Instruct-GGUF", "qwen2.5-3b-instruct-q4_k_m.gguf"),
  known("qwen2.5-7b", "Q4_K_M", 7, 4.7, "bartowski/Qwen2.5-7B-Instruct-GGUF", "Qwen2.5-7B-Instruct-Q4_K_M.gguf"),
  known(
    "llama-3.1-8b",
    "Q4_K_M",
    8,
    5,
    "bartowski/Meta-Llama-3.1-8B-Instruct-GGUF",
    "Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf",
  ),
  known("qwen2.5-14b", "Q4_K_M", 14, 9, "bartowski/Qwen2.5-14B-Instruct-GGUF", "Qwen2.5-14B-Instruct-Q4_K_M.gguf"),
  known("qwen2.5-32b", "Q4_K_M", 32, 19.9, "bartowski/Qwen2.5-32B-Instruct-GGUF", "Qwen2.5-32B-Instruct-Q4_K_M.gguf"),
  known(
    "llama-3.3-70b",
    "Q4_K_M",
    70,
    42.6,
    "bartowski/Llama-3.3-70B-Instruct-GGUF",
    "Llama-3.3-70B-Instruct-Q4_K_M.gguf",
  ),
];

/** Left to the system and to the node itself, in bytes. */
const reserved = 1e9;

/**
 * Largest model per core, in thousand millions of parameters. A core of today computes about 7 of them per second and token; an
 * answer of 512 tokens must be there within the 300 s of a claim (PROTOCOL.md 10), which is 1.7 tokens per second, with some to spare.
 */
const parametersPerCore = 3.5;

export type ModelProposal = KnownModel & {
  /** Bytes that it takes while it is loaded. */
  memory: number;
  /** Where it fits: a GPU's own memory, or main memory. */
  runsOn: "gpu" | "cpu";
};

/** Bytes that a model takes while it is loaded: its file, the key-value cache of 2048 tokens, and room to compute. */
export function memoryNeeded(model: Pick<KnownModel, "gigabytes">): number {
  return Math.ceil(model.gigabytes * 1e9 * 1.08 + 4e8);
}

/**
 * The known models that fit into the memory that is free now, and that the processor computes in time, the largest first.
 * @param usesGpu whether this build of llama.cpp computes on this machine's GPU
 */
export function modelsThatFit(hardware: Hardware, usesGpu: boolean): ModelProposal[] {
  const onGpu = usesGpu ? Math.max(0, ...hardware.gpus.map(({ memoryFree }) => memoryFree ?? 0)) : 0;
  const onCpu = Math.max(0, hardware.memory.available - reserved);
  return knownModels
    .flatMap((model): ModelProposal[] => {
      const memory = memoryNeeded(model);
      if (memory <= onGpu) return [{ ...model, memory, runsOn: "gpu" }];
      const isFastEnough = model.parameters <= hardware.cpu.cores * parametersPerCore;
      return memory <= onCpu && isFastEnough ? [{ ...model, memory, runsOn: "cpu" }] : [];
    })
    .reverse();
}

function known(
  id: string,
  quantization: string,
  parameters: number,
  gigabytes: number,
  repository: string,
  file: string,
): KnownModel {
  return { id, quantization, parameters, gigabytes, repository, file };
}
