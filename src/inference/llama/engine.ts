import type { LlamaContext, LlamaModel } from "node-llama-cpp";
import { BlfError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import type { GenerateOptions, Generation } from "../backend.ts";
import { determinismClass } from "./determinism-class.ts";
import { batchSize, generateText } from "./generate.ts";
import { type GgufHeader, readGgufFile } from "./gguf.ts";
import { modelSha256 } from "./hash.ts";
import { type LlamaLibrary, openLlamaLibrary } from "./library.ts";
import { createQueue } from "./queue.ts";

/** A model as the engine needs it, with nothing left to defaults. */
export type EngineModel = {
  modelId: string;
  path: string;
  /** Tokens; absent: 4096, or what the model was trained for if that is less. */
  contextSize?: number | undefined;
  maxTokens: number;
  /** 0 computes everything on the CPU. */
  gpuLayers: number;
};

export type LoadedModel = { determinismClass: string; contextSize: number };

/** Something that holds llama.cpp: this process, or a child of it. */
export type Engine = {
  /** @throws BlfError `MODEL_*`, `ENGINE_*`, `NATIVE_*`; the signal's reason when aborted. */
  load(model: EngineModel, signal: AbortSignal): Promise<LoadedModel>;
  /** Loads the model if it is not the one that is loaded. Throws as `load` does, and `MODEL_PROMPT_TOO_LONG`. */
  generate(model: EngineModel, prompt: string, options: GenerateOptions): Promise<Generation>;
  close(): Promise<void>;
};

export type EngineOptions = {
  /** Threads of llama.cpp; more than the cores that are free collapse its speed. */
  threads: number;
  /** Generations side by side. */
  sequences: number;
  /** Loads the GPU's kernels too. */
  gpu: boolean;
  log: Logger;
};

type Current = LoadedModel & {
  key: string;
  model: LlamaModel;
  context: LlamaContext;
  users: number;
  idle: () => void;
};

const defaultContextSize = 4096;

/**
 * Off, though llama.cpp would choose it: from 256 tokens of context on, its flash attention divides a token's work by the number of
 * threads and adds the parts, so that nodes with two and with three threads would answer differently. Without it they do not.
 */
export const flashAttention = false;

/** llama.cpp in this process. One model is loaded at a time; another takes its place when its generations have ended. */
export function createEngine(options: EngineOptions): Engine {
  let library: Promise<LlamaLibrary> | undefined;
  let current: Current | undefined;
  const loading = createQueue(1);
  const sequences = createQueue(options.sequences);

  const unload = async () => {
    const old = current;
    if (!old) return;
    if (old.users > 0) await new Promise<void>((resolve) => (old.idle = resolve));
    current = undefined;
    await old.context.dispose();
    await old.model.dispose();
  };

  const open = () => {
    library ??= openLlamaLibrary(options).catch((error: unknown) => {
      library = undefined;
      throw error;
    });
    return library;
  };

  /** Makes `wanted` the current model and counts the caller as a user of it. */
  const use = (wanted: EngineModel, signal: AbortSignal) =>
    loading.run(signal, async () => {
      const key = JSON.stringify(wanted);
      if (current?.key !== key) {
        // What can be refused is refused before the model that works is given up.
        const header = readGgufFile(wanted.path);
        await unload();
        const loaded = await loadModel({ library: await open(), wanted, header, options, signal });
        current = { ...loaded, key, users: 0, idle: () => {} };
      }
      current.users++;
      return current;
    });

  const release = (used: Current) => {
    if (--used.users === 0) used.idle();
  };

  return {
    load: async (model, signal) => {
      const used = await use(model, signal);
      release(used);
      return { determinismClass: used.determinismClass, contextSize: used.contextSize };
    },
    generate: async (model, prompt, { signal, onToken }) => {
      const used = await use(model, signal);
      try {
        const generation = await sequences.run(signal, () =>
          generateText({ ...used, maxTokens: model.maxTokens, prompt, signal, onToken }),
        );
        return { ...generation, determinismClass: used.determinismClass };
      } finally {
        release(used);
      }
    },
    close: async () => {
      await loading.run(new AbortController().signal, unload);
      await (await library?.catch(() => undefined))?.llama.dispose();
      library = undefined;
    },
  };
}

type LoadParameters = {
  library: LlamaLibrary;
  wanted: EngineModel;
  header: GgufHeader;
  options: EngineOptions;
  signal: AbortSignal;
};

async function loadModel({ library, wanted, header, options, signal }: LoadParameters) {
  const contextSize = wanted.contextSize ?? Math.min(defaultContextSize, header.contextLength);
  if (contextSize > header.contextLength) throw contextTooLarge(contextSize, header.contextLength);
  const ggufSha256 = await modelSha256(wanted.path, { signal });
  let model: LlamaModel | undefined;
  try {
    model = await library.llama.loadModel({
      modelPath: wanted.path,
      gpuLayers: wanted.gpuLayers,
      loadSignal: signal,
    });
    const context = await model.createContext({
      contextSize,
      batchSize,
      flashAttention,
      sequences: options.sequences,
      threads: options.threads,
      // A context that was silently made smaller would answer differently from the others.
      failedCreationRemedy: false,
      createSignal: signal,
    });
    const text = determinismClass({
      ggufSha256,
      release: library.release,
      device: wanted.gpuLayers > 0 ? `${library.device}:${wanted.gpuLayers}` : library.device,
      contextSize,
      batchSize,
      flashAttention,
      kvType: "f16",
      maxTokens: wanted.maxTokens,
      template: "raw",
      sequences: options.sequences,
    });
    return { model, context, contextSize, determinismClass: text };
  } catch (error) {
    await model?.dispose();
    signal.throwIfAborted();
    throw loadFailed(error);
  }
}

function contextTooLarge(wanted: number, largest: number): BlfError {
  return new BlfError({
    code: "MODEL_CONTEXT_TOO_LARGE",
    message: `A context of ${wanted} tokens was asked for, but the model was trained for ${largest}`,
    hint: `Set contextSize to ${largest} or less.`,
  });
}

function loadFailed(error: unknown): BlfError {
  const isMemory = error instanceof Error && error.constructor.name === "InsufficientMemoryError";
  return new BlfError({
    code: isMemory ? "MODEL_TOO_LARGE" : "MODEL_LOAD_FAILED",
    message: isMemory ? "There is not enough memory for the model" : "llama.cpp refuses the model",
    hint: isMemory
      ? "Choose a smaller quantization or a smaller contextSize."
      : "Check that its architecture is supported by this version, and its SHA-256.",
    cause: error,
  });
}
