import type { RandomBytes } from "../crypto/random.ts";
import type { Clock } from "../lib/clock.ts";
import { BlfError } from "../lib/errors.ts";
import type { Fetch } from "../lib/http.ts";
import type { Logger } from "../lib/log.ts";
import type { Secret } from "../lib/secret.ts";
import { createCaller } from "./http/caller.ts";
import { checkPrompt } from "./http/errors.ts";
import type { ProbedBackend } from "./http/probed-backend.ts";
import { combinedHealth, createReadiness, lastsTooLong } from "./http/readiness.ts";
import { keyHeader, type Service } from "./http/service.ts";
import { complete } from "./vllm/completion.ts";
import { testInvariance } from "./vllm/invariance.ts";
import { checkModel, serverVersion } from "./vllm/server.ts";

export type VllmOptions = {
  /** Without `/v1`. */
  baseUrl: string;
  apiKey?: Secret<string> | undefined;
  /** The network's model ids, and the names under which the server has them. */
  models: Record<string, string>;
  /** Longest output, in tokens. */
  maxTokens: number;
  /** For one whole answer, in milliseconds. */
  timeoutMs: number;
  /** Answers that are asked for side by side. */
  maxConcurrent: number;
  sendTopK: boolean;
  fetch: Fetch;
  clock: Clock;
  log: Logger;
  random: RandomBytes;
};

/** Tokens of an answer that is only compared, and the time for it in milliseconds. */
const probeTokens = 64;
const probeMs = 60_000;
/** A server that was silent for so long is asked whether it is there before it gets a prompt, in milliseconds. */
const silenceMs = 60_000;

/**
 * A server with OpenAI's completions: vLLM, which may spread over many machines, llama-server, SGLang. Prompts go as they are, greedily
 * (PROTOCOL.md 2.8). A model is offered once the server gave the same text for the same prompt cold, warm and amid other requests.
 */
export function createVllmBackend(options: VllmOptions): ProbedBackend {
  const { models, maxTokens, timeoutMs, sendTopK, fetch, clock, log, random } = options;
  const service: Service = {
    prefix: "VLLM",
    name: "The model server",
    baseUrl: options.baseUrl,
    keyVariable: "BLF_VLLM_API_KEY",
    urlKey: "vllm.base_url",
    authorization: keyHeader(options.apiKey, (key) => ({ authorization: `Bearer ${key}` })),
  };
  const wire = { fetch, clock };
  const caller = createCaller(service, wire);
  const ids = Object.keys(models);
  let version: { text: string | undefined } | undefined;
  let heardAt = Number.NEGATIVE_INFINITY;

  const nameOf = (modelId: string): string => {
    const name = Object.hasOwn(models, modelId) ? models[modelId] : undefined;
    if (name !== undefined) return name;
    throw new BlfError({
      code: "MODEL_UNKNOWN",
      message: `The model server was given no name for the model ${modelId}`,
      hint: "Add it to vllm.models.",
    });
  };

  /** A machine that is not there is found out in seconds, and a server of another version is another server. */
  const knock = async (modelId: string, signal: AbortSignal): Promise<void> => {
    const [, text] = await Promise.all([
      checkModel(service, caller, nameOf(modelId), signal),
      serverVersion(service, wire, signal),
    ]);
    if (version && version.text !== text) readiness.doubt(ids, changed());
    version = { text };
    heardAt = clock.now();
  };

  const readiness = createReadiness({
    backend: "vllm",
    clock,
    log,
    examine: async (modelId, signal) => {
      await knock(modelId, signal);
      const request = {
        name: nameOf(modelId),
        maxTokens: Math.min(probeTokens, maxTokens),
        sendTopK,
        timeoutMs: Math.min(probeMs, timeoutMs),
      };
      const ask = async (prompt: string, s: AbortSignal) =>
        (await complete(service, caller, { ...request, prompt }, s)).text;
      return testInvariance({ ask, random, signal });
    },
  });

  const classOf = (name: string) =>
    `vllm:${name}${version?.text ? `@${version.text}` : ""}/greedy/seed42/max${maxTokens}/raw`;

  const generate: ProbedBackend["generate"] = async ({ modelId, prompt }, { signal, onToken }) => {
    checkPrompt(prompt);
    const name = nameOf(modelId);
    const started = clock.now();
    if (clock.now() - heardAt > silenceMs) await knock(modelId, signal);
    const completion = await complete(service, caller, { name, prompt, maxTokens, sendTopK, timeoutMs }, signal);
    heardAt = clock.now();
    onToken?.(completion.text);
    return { ...completion, determinismClass: classOf(name), ms: clock.now() - started };
  };

  return {
    name: "vllm",
    models: () => [...ids],
    slots: options.maxConcurrent,
    determinismClass: (modelId) => (version && Object.hasOwn(models, modelId) ? classOf(nameOf(modelId)) : undefined),
    warm: (modelId, signal) => readiness.watch(ids, modelId, () => knock(modelId, signal)),
    generate: (request, generateOptions) =>
      readiness.watch(ids, request.modelId, () => generate(request, generateOptions)),
    health: () => combinedHealth(readiness, ids, caller.limit),
    modelHealth: (modelId) => combinedHealth(readiness, [modelId], caller.limit),
    isOffered: readiness.isReady,
    isOpen: (modelId) => readiness.isReady(modelId) && !lastsTooLong(caller.limit),
    probe: readiness.probe,
    close: async () => {},
  };
}

function changed(): BlfError {
  return new BlfError({
    code: "VLLM_CHANGED",
    message: "The model server has another version than when it was tested",
    hint: "It is tested again within a minute.",
  });
}
