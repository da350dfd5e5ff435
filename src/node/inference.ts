import type { Config } from "../config/load.ts";
import type { ModelConfig } from "../config/schema.ts";
import type { Secrets } from "../config/secrets.ts";
import { type RandomBytes, systemRandom } from "../crypto/random.ts";
import type { BackendHealth } from "../inference/backend.ts";
import { createCustomBackend } from "../inference/custom.ts";
import { createGeminiBackend } from "../inference/gemini.ts";
import { createGroqBackend } from "../inference/groq.ts";
import { createLlamaBackends, type LlamaModelConfig } from "../inference/llama/backend.ts";
import { type ReportedClass, reportedClass } from "../inference/llama/determinism-class.ts";
import { createMockBackend } from "../inference/mock.ts";
import { type BackendRegistry, createBackendRegistry } from "../inference/registry.ts";
import { createVllmBackend } from "../inference/vllm.ts";
import type { Clock } from "../lib/clock.ts";
import type { Fetch } from "../lib/http.ts";
import type { Logger } from "../lib/log.ts";
import { customBackendEntries } from "./custom-backends.ts";
import { cloudModels, localModels, offeredModels } from "./models.ts";

export type ModelReport = { id: string; backend: string; health: BackendHealth } & ReportedClass;

/** The registry of backends, with what the node's scheduler and status ask of it. */
export type Inference = BackendRegistry & {
  /** Whether two models wait for each other, because one backend runs both. */
  sharesSlots(modelId: string, other: string): boolean;
  isBusy(): boolean;
  describe(): ModelReport[];
};

export type InferenceOptions = {
  /** Keys of the services that answer over HTTP. */
  secrets?: Secrets;
  fetch?: Fetch;
  random?: RandomBytes;
};

/**
 * The backends that the configuration asks for: llama.cpp for its models, the mock for those that the operator named, modules, and
 * services over HTTP.
 */
export function createInference(config: Config, log: Logger, clock: Clock, options: InferenceOptions = {}): Inference {
  const offered = new Set(offeredModels(config));
  const models: Record<string, LlamaModelConfig> = {};
  for (const [id, model] of Object.entries(localModels(config))) {
    if (!offered.has(id)) continue;
    models[id] = llamaModel(model);
  }
  const { threads, isolation, sequences, idle_unload_minutes } = config.engine;
  const llama = createLlamaBackends({
    models,
    isolation,
    log,
    clock,
    idleUnloadMs: idle_unload_minutes * 60_000,
    ...(threads > 0 ? { threads } : {}),
    ...(sequences > 0 ? { maxConcurrent: sequences } : {}),
  });
  const mockIds = config.mock_model_ids.filter((id) => offered.has(id));
  const mock = createMockBackend({ models: mockIds, optedIn: mockIds, clock });
  const custom = customBackendEntries(config).map(({ path, description }) => {
    const models = description.models.filter((id) => offered.has(id));
    return createCustomBackend({ path, description: { ...description, models }, log, clock });
  });
  const services = createServices(config, offered, { ...options, log, clock });
  return withReports(createBackendRegistry([...llama, mock, ...custom, ...services]));
}

/** A local model of the configuration in the words of its backend. */
export function llamaModel(model: ModelConfig): LlamaModelConfig {
  return {
    path: model.path,
    contextSize: model.context_size,
    maxTokens: model.max_tokens,
    gpuLayers: model.gpu_layers,
    template: model.template,
    system: model.system,
    stop: model.stop,
    sha256: model.sha256,
  };
}

/** The backends that answer over HTTP, of which only those with models exist. */
function createServices(config: Config, offered: Set<string>, parts: InferenceOptions & { log: Logger; clock: Clock }) {
  const { secrets = {}, fetch = globalThis.fetch, random = systemRandom, log, clock } = parts;
  const { vllm } = config;
  const common = { fetch, clock, log };
  const names = Object.fromEntries(Object.entries(vllm.models).filter(([id]) => offered.has(id)));
  const cloud = (name: "groq" | "gemini") => cloudModels(config, name).filter((id) => offered.has(id));
  const groq = { ...common, baseUrl: config.groq.base_url, models: cloud("groq"), apiKey: secrets.groqApiKey };
  const gemini = { ...common, baseUrl: config.gemini.base_url, models: cloud("gemini"), apiKey: secrets.googleApiKey };
  const server = {
    ...common,
    random,
    baseUrl: vllm.base_url,
    models: names,
    apiKey: secrets.vllmApiKey,
    maxTokens: vllm.max_tokens,
    timeoutMs: vllm.timeout_s * 1000,
    maxConcurrent: vllm.max_concurrent,
    sendTopK: vllm.send_top_k,
  };
  return [
    ...(Object.keys(names).length > 0 ? [createVllmBackend(server)] : []),
    ...(groq.models.length > 0 ? [createGroqBackend(groq)] : []),
    ...(gemini.models.length > 0 ? [createGeminiBackend(gemini)] : []),
  ];
}

function withReports(registry: BackendRegistry): Inference {
  let busy = 0;
  const whileBusy = async <T>(action: () => Promise<T>): Promise<T> => {
    busy++;
    try {
      return await action();
    } finally {
      busy--;
    }
  };
  const describe = () =>
    registry.models().map((id) => {
      const backend = registry.backendOf(id).name;
      const health = registry.healthOf(id);
      return { id, backend, health, ...reportedClass(registry.determinismClass(id)) };
    });
  return {
    ...registry,
    sharesSlots: (modelId, other) => registry.backendOf(modelId) === registry.backendOf(other),
    isBusy: () => busy > 0,
    describe,
    generate: (request, options) => whileBusy(() => registry.generate(request, options)),
    verify: (request, output, options) => whileBusy(() => registry.verify(request, output, options)),
  };
}
