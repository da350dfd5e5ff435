import type { Config } from "../config/load.ts";
import type { ModelConfig } from "../config/schema.ts";
import type { Backend } from "../inference/backend.ts";
import { createLlamaBackend } from "../inference/llama/backend.ts";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { llamaModel } from "../node/inference.ts";

/** Enough to see two answers part; few enough for a large model on a processor. */
const probeTokens = 16;

/** llama.cpp with one model as the node would run it, but for the length of its answers. */
export function openProbeModel(options: {
  config: Config;
  modelId: string;
  model: ModelConfig;
  log: Logger;
  clock: Clock;
}): Backend {
  const { config, modelId, model, log, clock } = options;
  const { threads, isolation } = config.engine;
  return createLlamaBackend({
    models: { [modelId]: { ...llamaModel(model), maxTokens: probeTokens } },
    isolation,
    log,
    clock,
    ...(threads > 0 ? { threads } : {}),
  });
}
