import { type Clock, systemClock } from "../../lib/clock.ts";
import { errorCode } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import type { GenerateOptions, Generation, OutputCheck } from "../backend.ts";
import { generateText } from "./generate.ts";
import { type LlamaLibrary, openLlamaLibrary } from "./library.ts";
import { loadModel, type ModelInMemory } from "./load.ts";
import { availableMemory } from "./memory.ts";
import { planModel } from "./plan.ts";
import { createQueue } from "./queue.ts";
import { verifyTranscript } from "./transcript.ts";

export { flashAttention } from "./load.ts";

/** A model as the engine needs it, with nothing left to defaults. */
export type EngineModel = {
  modelId: string;
  path: string;
  /** Tokens; absent: 4096, or what the model was trained for if that is less. */
  contextSize?: number | undefined;
  maxTokens: number;
  /** 0 computes everything on the CPU, `autoGpuLayers` as much on the GPU as fits. */
  gpuLayers: number;
  /** `chat` renders the GGUF's own template around the prompt; the model reads it as it is otherwise. */
  template?: "raw" | "chat" | undefined;
  /** For `chat`: what the template says in the operator's name. */
  system?: string | undefined;
  /** Texts that end an answer, and are no part of it. */
  stop?: readonly string[] | undefined;
  /** Of the file, hex; one that differs is not loaded. */
  sha256?: string | undefined;
};

export type LoadedModel = {
  determinismClass: string;
  /** Tokens. */
  contextSize: number;
  /** Whether it was loaded by this call. */
  isFresh: boolean;
};

/** Something that holds llama.cpp: this process, or a child of it. */
export type Engine = {
  /** @throws BlfError `MODEL_*`, `ENGINE_*`, `NATIVE_*`; the signal's reason when aborted. */
  load(model: EngineModel, signal: AbortSignal): Promise<LoadedModel>;
  /** Loads the model if it is not the one that is loaded. Throws as `load` does, and `MODEL_PROMPT_TOO_LONG`. */
  generate(model: EngineModel, prompt: string, options: GenerateOptions): Promise<Generation>;
  /** Whether `generate` gives exactly this text, which one pass over it can often say. Throws as `generate` does. */
  verify(model: EngineModel, prompt: string, output: string, options: { signal: AbortSignal }): Promise<OutputCheck>;
  close(): Promise<void>;
};

export type EngineOptions = {
  /** Threads of llama.cpp; more than the cores that are free collapse its speed. */
  threads: number;
  /** Generations side by side. What each says does not depend on it. */
  sequences: number;
  /** Loads the GPU's kernels too, where there are any: models that must have them say so when they are loaded. */
  gpu: boolean;
  /** A model that nobody uses for so long is given up, milliseconds; 0 keeps it. */
  idleUnloadMs?: number | undefined;
  log: Logger;
  /** See `LibraryOptions`. */
  printsItself?: boolean | undefined;
  clock?: Clock;
  /** Bytes that a model may take; asks the system by default. */
  availableMemory?: () => number;
};

type Current = ModelInMemory & {
  key: string;
  /** Bytes that come back when it is given up: those of the weights are pages of a file, which count as available anyway. */
  held: number;
  users: number;
  idle: () => void;
};

/** llama.cpp in this process. One model is loaded at a time; another takes its place when its generations have ended. */
export function createEngine(options: EngineOptions): Engine {
  const { log, clock = systemClock, idleUnloadMs = 0 } = options;
  let library: Promise<LlamaLibrary> | undefined;
  let current: Current | undefined;
  let patience = new AbortController();
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
    const { threads, gpu, log, printsItself } = options;
    library ??= openLlamaLibrary({ threads, gpu, log, printsItself }).catch((error: unknown) => {
      library = undefined;
      throw error;
    });
    return library;
  };

  const replace = async (wanted: EngineModel, key: string, signal: AbortSignal): Promise<Current> => {
    const memory = (options.availableMemory ?? availableMemory)() + (current?.held ?? 0);
    // What can be refused is refused before the model that works is given up.
    const plan = await planModel({ wanted, sequences: options.sequences, availableMemory: memory, signal });
    await unload();
    const { threads } = options;
    const opened = await open();
    const loaded = await loadModel({
      library: opened,
      wanted,
      plan,
      threads,
      sequences: options.sequences,
      log,
      signal,
    });
    return { ...loaded, key, held: plan.need.context + plan.need.work, users: 0, idle: () => {} };
  };

  /** Makes `wanted` the current model and counts the caller as a user of it. */
  const use = (wanted: EngineModel, signal: AbortSignal) =>
    loading.run(signal, async () => {
      const key = JSON.stringify(wanted);
      const isFresh = current?.key !== key;
      if (isFresh) current = await replace(wanted, key, signal);
      patience.abort();
      const used = current!;
      used.users++;
      return { used, isFresh };
    });

  const release = (used: Current) => {
    if (--used.users > 0) return;
    used.idle();
    if (idleUnloadMs > 0 && current === used) void unloadWhenIdle();
  };

  /** Runs `action` with the model, in one of the places for sequences. */
  const withModel = async <T>(model: EngineModel, signal: AbortSignal, action: (used: Current) => Promise<T>) => {
    const { used } = await use(model, signal);
    try {
      return await sequences.run(signal, () => action(used));
    } finally {
      release(used);
    }
  };

  const unloadWhenIdle = async () => {
    patience.abort();
    patience = new AbortController();
    const { signal } = patience;
    try {
      await clock.sleep(idleUnloadMs, signal);
      await loading.run(signal, unload);
      log.info("model unloaded: nobody asked for it", { ms: idleUnloadMs });
    } catch (error) {
      if (!signal.aborted) log.warn("an idle model could not be unloaded", { code: errorCode(error) });
    }
  };

  return {
    load: async (model, signal) => {
      const { used, isFresh } = await use(model, signal);
      release(used);
      return { determinismClass: used.determinismClass, contextSize: used.contextSize, isFresh };
    },
    generate: (model, prompt, { signal, onToken }) =>
      withModel(model, signal, async (used) => {
        const { maxTokens, stop } = model;
        const generation = await generateText({ ...used, maxTokens, stop, prompt, signal, onToken });
        return { ...generation, determinismClass: used.determinismClass };
      }),
    verify: (model, prompt, output, { signal }) =>
      withModel(model, signal, async (used) => {
        const { maxTokens, stop } = model;
        const verification = await verifyTranscript({ ...used, maxTokens, stop, prompt, output, signal });
        const { agrees, method, prefillMs, decodingMs } = verification;
        return { agrees, method, ms: (prefillMs ?? 0) + (decodingMs ?? 0) };
      }),
    close: async () => {
      patience.abort();
      await loading.run(new AbortController().signal, unload);
      patience.abort();
      await (await library?.catch(() => undefined))?.llama.dispose();
      library = undefined;
    },
  };
}
