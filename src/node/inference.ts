import type { Config } from "../config/load.ts";
import type { BackendHealth } from "../inference/backend.ts";
import { createCustomBackend } from "../inference/custom.ts";
import { createLlamaBackend, type LlamaModelConfig } from "../inference/llama/backend.ts";
import { createMockBackend } from "../inference/mock.ts";
import { type BackendRegistry, createBackendRegistry } from "../inference/registry.ts";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { customBackendEntries } from "./custom-backends.ts";
import { localModels, offeredModels } from "./models.ts";

export type ModelReport = { id: string; backend: string; health: BackendHealth; determinismClass: string | null };

/** The registry of backends, with what the node's scheduler and status ask of it. */
export type Inference = BackendRegistry & {
  /** Whether two models wait for each other, because one backend runs both. */
  sharesSlots(modelId: string, other: string): boolean;
  isBusy(): boolean;
  describe(): ModelReport[];
  /** Loads a model of every unhealthy backend, which brings it back when that works. */
  probe(signal: AbortSignal): Promise<void>;
};

/** The backends that the configuration asks for: llama.cpp for its models, the mock for those that the operator named, and modules. */
export function createInference(config: Config, log: Logger, clock: Clock): Inference {
  const offered = new Set(offeredModels(config));
  const models: Record<string, LlamaModelConfig> = {};
  for (const [id, model] of Object.entries(localModels(config))) {
    if (!offered.has(id)) continue;
    models[id] = {
      path: model.path,
      contextSize: model.context_size,
      maxTokens: model.max_tokens,
      gpuLayers: model.gpu_layers,
    };
  }
  const { threads, isolation } = config.engine;
  const llama = createLlamaBackend({ models, isolation, log, clock, ...(threads > 0 ? { threads } : {}) });
  const mockIds = config.mock_model_ids.filter((id) => offered.has(id));
  const mock = createMockBackend({ models: mockIds, optedIn: mockIds, clock });
  const custom = customBackendEntries(config).map(({ path, description }) => {
    const models = description.models.filter((id) => offered.has(id));
    return createCustomBackend({ path, description: { ...description, models }, log, clock });
  });
  return withReports(createBackendRegistry([llama, mock, ...custom]));
}

function withReports(registry: BackendRegistry): Inference {
  let busy = 0;
  const describe = () =>
    registry.models().map((id) => {
      const backend = registry.backendOf(id).name;
      const health = registry.health()[backend]!;
      return { id, backend, health, determinismClass: registry.determinismClass(id) ?? null };
    });
  return {
    ...registry,
    sharesSlots: (modelId, other) => registry.backendOf(modelId) === registry.backendOf(other),
    isBusy: () => busy > 0,
    describe,
    generate: async (request, options) => {
      busy++;
      try {
        return await registry.generate(request, options);
      } finally {
        busy--;
      }
    },
    probe: async (signal) => {
      const unhealthy = describe().filter(({ health }) => health.status === "unhealthy");
      for (const { id } of unhealthy) await registry.warm(id, signal);
    },
  };
}
