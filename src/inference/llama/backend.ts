import type { Clock } from "../../lib/clock.ts";
import { BlfError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import type { Backend, BackendHealth } from "../backend.ts";
import { createEngine, type Engine, type EngineModel } from "./engine.ts";
import { internalError } from "./messages.ts";
import { createEngineSupervisor } from "./supervisor.ts";
import { usableCores } from "./threads.ts";

export type LlamaModelConfig = {
  /** Path of the GGUF. */
  path: string;
  /** Tokens; 4096 by default, or what the model was trained for if that is less. */
  contextSize?: number;
  /** Most tokens of an answer; 512 by default, as the network's cloud models have it. */
  maxTokens?: number;
  /** Layers that the GPU computes; 0 by default. */
  gpuLayers?: number;
};

export type LlamaBackendOptions = {
  /** By exact model id. */
  models: Record<string, LlamaModelConfig>;
  /** Never more than the cores that this process may use; by default one less, which is left to the node itself. */
  threads?: number;
  /** `process`: llama.cpp runs in a supervised child, and its crash is one lost job. `none`: in this process. */
  isolation?: "process" | "none";
  /** Generations side by side; 1 by default, which is best on a CPU. More are part of the determinism class. */
  maxConcurrent?: number;
  log: Logger;
  clock: Clock;
  /** Starts the engine's process; by default this program with `__engine`. */
  command?: string[];
};

const defaultMaxTokens = 512;

/** llama.cpp on this machine. Nothing is loaded before the first `warm` or `generate`. */
export function createLlamaBackend(options: LlamaBackendOptions): Backend {
  const { log } = options;
  const models = new Map(
    Object.entries(options.models).map(([modelId, config]) => [modelId, engineModel(modelId, config)]),
  );
  const slots = options.maxConcurrent ?? 1;
  const classes = new Map<string, string>();
  let engine: Engine | undefined;
  let loaded: string | undefined;
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
    engine ??= createEngineOf(options, slots, [...models.values()]);
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
      loaded = undefined;
      const known = error instanceof BlfError ? error : internalError("INTERNAL", error);
      if (!known.code.startsWith("MODEL_PROMPT_")) health = { status: "degraded", detail: known.message };
      throw known;
    }
  };

  const load = async (model: EngineModel, signal: AbortSignal) => {
    const started = performance.now();
    const result = await open().load(model, signal);
    classes.set(model.modelId, result.determinismClass);
    if (loaded === model.modelId) return;
    loaded = model.modelId;
    const ms = Math.round(performance.now() - started);
    log.info("model loaded", { model: model.modelId, determinismClass: result.determinismClass, ms });
  };

  return {
    name: "llama",
    models: () => [...models.keys()],
    slots,
    determinismClass: (modelId) => classes.get(modelId),
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
    health: () => health,
    close: async () => {
      await engine?.close();
    },
  };
}

function engineModel(modelId: string, config: LlamaModelConfig): EngineModel {
  return {
    modelId,
    path: config.path,
    contextSize: config.contextSize,
    maxTokens: config.maxTokens ?? defaultMaxTokens,
    gpuLayers: config.gpuLayers ?? 0,
  };
}

function createEngineOf(options: LlamaBackendOptions, sequences: number, models: EngineModel[]): Engine {
  const { log, clock, command } = options;
  const cores = usableCores();
  if ((options.threads ?? 0) > cores) log.warn("fewer cores than threads: using the cores", { count: cores });
  const setup = {
    threads: Math.min(options.threads ?? Math.max(1, cores - 1), cores),
    sequences,
    gpu: models.some((model) => model.gpuLayers > 0),
    log,
  };
  if (options.isolation === "none") return createEngine(setup);
  return createEngineSupervisor({ ...setup, clock, ...(command ? { command } : {}) });
}
