import type { LlamaContext, LlamaModel, Token } from "node-llama-cpp";
import { BlfError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { flashAttention } from "../llama/engine.ts";
import { batchSize } from "../llama/generate.ts";
import { readGgufFile } from "../llama/gguf.ts";
import { modelSha256 } from "../llama/hash.ts";
import { type LibraryOptions, openLlamaLibrary } from "../llama/library.ts";
import { allocatedContext, deviceOf, layersFor, loadFailed } from "../llama/load.ts";
import { cpuVariants, hostTarget } from "../llama/platform.ts";

/** What a context computes with. The node's own are `nodeSetting`; others are for auditors, to see what would break. */
export type LabSetting = { batchSize: number; flashAttention: boolean; threads: number };

/** llama.cpp in this process with one model, below the engine: token by token, and with every setting open. */
export type Lab = {
  model: LlamaModel;
  /** Tokens. */
  contextSize: number;
  /** SHA-256 of the GGUF, hex. */
  modelSha256: string;
  /** `cpu:<variant>@<platform>` or `gpu:<name>` */
  device: string;
  /** `sequences` of them, of `contextSize` tokens each, side by side. @throws BlfError `MODEL_TOO_LARGE` */
  createContext(setting: LabSetting, sequences?: number): Promise<LlamaContext>;
  close(): Promise<void>;
};

export type LabOptions = {
  path: string;
  /** Tokens; by default as the engine has it. */
  contextSize?: number | undefined;
  /** 0 computes everything on the CPU, `autoGpuLayers` as much on the GPU as fits. */
  gpuLayers: number;
  /** What the node has side by side, 1 by default: `autoGpuLayers` leaves room on the GPU for as many contexts. */
  sequences?: number | undefined;
  /** Most threads that a context will ask for. */
  threads: number;
  /** A CPU variant of this build in place of the one that fits best. Only for a process that has not opened another. */
  cpu?: string | undefined;
  log: Logger;
  signal: AbortSignal;
};

const defaultContextSize = 4096;

export function nodeSetting(threads: number): LabSetting {
  return { batchSize, flashAttention, threads };
}

/**
 * Loads a model for measurements.
 * @throws BlfError `MODEL_*`, `ENGINE_*`, `NATIVE_*`, `CPU_VARIANT_UNKNOWN`; the signal's reason when aborted
 */
export async function openLab(options: LabOptions): Promise<Lab> {
  const { path, gpuLayers, sequences: nodeSequences = 1, threads, log, signal } = options;
  const gpu = gpuLayers !== 0;
  const header = readGgufFile(path);
  const contextSize = options.contextSize ?? Math.min(defaultContextSize, header.contextLength);
  const sha256 = await modelSha256(path, { signal });
  const libraryOptions: LibraryOptions & { features?: ReadonlySet<string> } = {
    threads,
    gpu,
    log,
    ...(options.cpu === undefined ? {} : { features: featuresOf(options.cpu) }),
  };
  const library = await openLlamaLibrary(libraryOptions);
  const { llama } = library;
  try {
    const layers = layersFor(library, { gpuLayers, contextSize, sequences: nodeSequences });
    const model = await llama.loadModel({ modelPath: path, gpuLayers: layers, loadSignal: signal });
    return {
      model,
      contextSize,
      modelSha256: sha256,
      device: deviceOf(library, model),
      createContext: (setting, sequences = 1) => createContext(model, { ...setting, contextSize, sequences, signal }),
      close: () => llama.dispose(),
    };
  } catch (error) {
    await llama.dispose();
    signal.throwIfAborted();
    throw loadFailed(error);
  }
}

type ContextOptions = LabSetting & { contextSize: number; sequences: number; signal: AbortSignal };

async function createContext(model: LlamaModel, { signal, ...options }: ContextOptions): Promise<LlamaContext> {
  try {
    const contextSize = allocatedContext(options.contextSize);
    return await model.createContext({ ...options, contextSize, failedCreationRemedy: false, createSignal: signal });
  } catch (error) {
    signal.throwIfAborted();
    throw loadFailed(error);
  }
}

/** The tokens that the model wants before every text. */
export function beginning(model: LlamaModel): Token[] {
  const { bos, shouldPrependBosToken } = model.tokens;
  return shouldPrependBosToken && bos !== null ? [bos] : [];
}

/** The processor features that make the engine choose this variant. */
function featuresOf(variant: string): ReadonlySet<string> {
  const variants = cpuVariants[hostTarget()];
  const found = variants.find(({ name }) => name === variant);
  if (found) return new Set(found.needs);
  throw new BlfError({
    code: "CPU_VARIANT_UNKNOWN",
    message: "This build has no such CPU variant",
    hint: `These are in it: ${variants.map(({ name }) => name).join(", ")}.`,
  });
}
