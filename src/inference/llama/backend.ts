import type { Clock } from "../../lib/clock.ts";
import { BlfError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import type { Backend, BackendHealth } from "../backend.ts";
import { createEngine, type Engine, type EngineModel } from "./engine.ts";
import { internalError } from "./messages.ts";
import { defaultContextSize } from "./plan.ts";
import { createEngineSupervisor } from "./supervisor.ts";
import { usableCores } from "./threads.ts";

export type LlamaModelConfig = {
  /** Path of the GGUF. */
  path: string;
  /** Tokens; 4096 by default, or what the model was trained for if that is less. */
  contextSize?: number;
  /** Most tokens of an answer; 512 by default, as the network's cloud models have it. */
  maxTokens?: number;
  /** Layers that the GPU computes; 0 by default, `autoGpuLayers` for as many as fit. */
  gpuLayers?: number;
  /** `chat` puts the prompt into the GGUF's own template; `raw`, the default, leaves it as it is. */
  template?: "raw" | "chat" | undefined;
  /** For `chat`: what the template says in the operator's name. */
  system?: string | undefined;
  /** Texts that end an answer, and are no part of it. */
  stop?: readonly string[] | undefined;
  /** Of the file, hex; one that differs is not loaded. */
  sha256?: string | undefined;
};

export type LlamaBackendOptions = {
  /** By exact model id. */
  models: Record<string, LlamaModelConfig>;
  /** Never more than the cores that this process may use; by default one less, which is left to the node itself. */
  threads?: number;
  /** `process`: llama.cpp runs in a supervised child, and its crash is one lost job. `none`: in this process. */
  isolation?: "process" | "none";
  /** Generations side by side; by default 1, which is best on a CPU, and 4 with a GPU. No answer depends on it. */
  maxConcurrent?: number;
  /** A model that nobody asks for so long is given up, milliseconds; 0, the default, keeps it. */
  idleUnloadMs?: number;
  log: Logger;
  clock: Clock;
  /** Starts the engine's process; by default this program with `__engine`. */
  command?: string[];
};

const defaultMaxTokens = 512;

/** Where some model uses a GPU and nobody has said how many. */
export const sequencesOnGpu = 4;

/** What serves the models that use no GPU, and those that do. */
export const llamaBackendNames = { cpu: "llama", gpu: "llama-gpu" } as const;

/**
 * llama.cpp on this machine, once for the models of the CPU and once for those of a GPU. A process that has a GPU's kernels computes long
 * prompts there even for models without layers on it: they would answer as no other node of their class does, and end with the GPU.
 */
export function createLlamaBackends(options: LlamaBackendOptions): Backend[] {
  const onGpu = Object.entries(options.models).filter(([, { gpuLayers = 0 }]) => gpuLayers !== 0);
  const onCpu = Object.entries(options.models).filter(([, { gpuLayers = 0 }]) => gpuLayers === 0);
  if (onGpu.length === 0 || onCpu.length === 0) return [createLlamaBackend(options)];
  if (options.isolation === "none")
    options.log.info("models for a GPU run in a process of their own, since others use none");
  return [
    createLlamaBackend({ ...options, models: Object.fromEntries(onCpu) }),
    createLlamaBackend({ ...options, models: Object.fromEntries(onGpu), isolation: "process" }),
  ];
}

/** llama.cpp on this machine, for models that all use a GPU or all use none. Nothing is loaded before the first `warm` or `generate`. */
export function createLlamaBackend(options: LlamaBackendOptions): Backend {
  const { log } = options;
  const models = new Map(
    Object.entries(options.models).map(([modelId, config]) => [modelId, engineModel(modelId, config)]),
  );
  const gpu = usesGpu([...models.values()]);
  const slots = options.maxConcurrent ?? (gpu ? sequencesOnGpu : 1);
  const classes = new Map<string, string>();
  let engine: Engine | undefined;
  let health: BackendHealth = { status: "healthy", detail: "" };

  const find = (modelId: string): EngineModel => {
    const model = models.get(modelId);
    if (model) return model;
    throw new BlfError({
      code: "MODEL_UNKNOWN",
      message: `llama.cpp has no model ${modelId}`,
      hint: "Add it to the configuration with the path of its GGUF.",
    });
  };

  const open = (): Engine => {
    engine ??= createEngineOf(options, slots, gpu);
    return engine;
  };

  /** Runs `action` and keeps the state of health; what a prompt does wrong says nothing about the engine. */
  const watched = async <T>(signal: AbortSignal, action: () => Promise<T>): Promise<T> => {
    try {
      const result = await action();
      health = { status: "healthy", detail: "" };
      return result;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const known = error instanceof BlfError ? error : internalError("INTERNAL", error);
      if (!known.code.startsWith("MODEL_PROMPT_")) health = { status: "degraded", detail: known.message };
      throw known;
    }
  };

  const load = async (model: EngineModel, signal: AbortSignal) => {
    const started = performance.now();
    const result = await open().load(model, signal);
    classes.set(model.modelId, result.determinismClass);
    if (!result.isFresh) return;
    const ms = Math.round(performance.now() - started);
    log.info("model loaded", { model: model.modelId, determinismClass: result.determinismClass, ms });
  };

  return {
    name: gpu ? llamaBackendNames.gpu : llamaBackendNames.cpu,
    models: () => [...models.keys()],
    slots,
    determinismClass: (modelId) => classes.get(modelId),
    mayFit: (modelId, promptBytes) =>
      promptBytes <= (find(modelId).contextSize ?? defaultContextSize) * longestTokenBytes,
    warm: async (modelId, signal) => {
      const model = find(modelId);
      await watched(signal, () => load(model, signal));
    },
    generate: async ({ modelId, prompt }, generateOptions) => {
      const model = find(modelId);
      return watched(generateOptions.signal, async () => {
        await load(model, generateOptions.signal);
        return open().generate(model, prompt, generateOptions);
      });
    },
    verify: async ({ modelId, prompt }, output, { signal }) => {
      const model = find(modelId);
      return watched(signal, async () => {
        await load(model, signal);
        return open().verify(model, prompt, output, { signal });
      });
    },
    health: () => health,
    close: async () => {
      await engine?.close();
    },
  };
}

/** No vocabulary has a token of more bytes, so a longer prompt has more tokens than the context has places. */
const longestTokenBytes = 256;

function engineModel(modelId: string, config: LlamaModelConfig): EngineModel {
  return {
    modelId,
    path: config.path,
    contextSize: config.contextSize,
    maxTokens: config.maxTokens ?? defaultMaxTokens,
    gpuLayers: config.gpuLayers ?? 0,
    template: config.template,
    system: config.system,
    stop: config.stop,
    sha256: config.sha256,
  };
}

function usesGpu(models: EngineModel[]): boolean {
  return models.some(({ gpuLayers }) => gpuLayers !== 0);
}

function createEngineOf(options: LlamaBackendOptions, sequences: number, gpu: boolean): Engine {
  const { log, clock, command, idleUnloadMs } = options;
  const cores = usableCores();
  if ((options.threads ?? 0) > cores) log.warn("fewer cores than threads: using the cores", { count: cores });
  const setup = {
    threads: Math.min(options.threads ?? Math.max(1, cores - 1), cores),
    sequences,
    gpu,
    idleUnloadMs,
    log,
  };
  if (options.isolation === "none") return createEngine({ ...setup, clock });
  return createEngineSupervisor({ ...setup, clock, ...(command ? { command } : {}) });
}
