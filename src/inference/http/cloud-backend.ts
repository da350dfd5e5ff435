import type { Clock } from "../../lib/clock.ts";
import { BlfError } from "../../lib/errors.ts";
import type { Fetch } from "../../lib/http.ts";
import type { Logger } from "../../lib/log.ts";
import type { Secret } from "../../lib/secret.ts";
import type { Generation } from "../backend.ts";
import { anchoredPrompt } from "./anchor.ts";
import { type Caller, createCaller } from "./caller.ts";
import { checkPrompt, keyMissing } from "./errors.ts";
import type { ProbedBackend } from "./probed-backend.ts";
import { combinedHealth, createReadiness, lastsTooLong } from "./readiness.ts";
import type { Service } from "./service.ts";

export type CloudOptions = {
  /** Without the API's version. */
  baseUrl: string;
  apiKey: Secret<string> | undefined;
  /** The network's model ids, with their prefix. */
  models: string[];
  fetch: Fetch;
  clock: Clock;
  log: Logger;
  /** For one whole answer, in milliseconds; the network's 60 s by default. */
  timeoutMs?: number;
};

export type CloudAnswer = Pick<Generation, "text" | "promptTokens" | "outputTokens">;

/** What is different from one cloud to the other. */
export type Cloud = {
  name: "groq" | "gemini";
  /** What comes between name and end of the determinism class. */
  settings: string;
  /** Asks for a model's existence, which costs nothing. @throws BlfError `<prefix>_*` */
  look(caller: Caller, model: string, signal: AbortSignal): Promise<void>;
  /** Sends a prompt that has its anchor. @throws BlfError `<prefix>_*` */
  ask(request: {
    caller: Caller;
    model: string;
    prompt: string;
    timeoutMs: number;
    signal: AbortSignal;
  }): Promise<CloudAnswer>;
};

/** Longest answer of the network's rules, in tokens (PROTOCOL.md 2.8). */
export const cloudTokens = 512;
const timeoutMs = 60_000;
/** Such services bear many requests at once; more only meets their limits. */
const slots = 4;

/** A model of the network's without the prefix that says who has it. */
function nameOf(modelId: string): string {
  return modelId.slice(modelId.indexOf(":") + 1);
}

/**
 * A model that runs at a company's: by the network's rules, which bring the same text often and promise it never. A model is offered
 * once the service has said that it has it.
 */
export function createCloudBackend(service: Service, cloud: Cloud, options: CloudOptions): ProbedBackend {
  const { fetch, clock, log } = options;
  const caller = createCaller(service, { fetch, clock });
  const ids = [...new Set(options.models)];
  const known = (modelId: string): string => {
    if (!options.apiKey) throw keyMissing(service);
    if (ids.includes(modelId)) return nameOf(modelId);
    throw new BlfError({
      code: "MODEL_UNKNOWN",
      message: `${service.name} is not asked for the model ${modelId}`,
      hint: `Add it to ${cloud.name}.models.`,
    });
  };
  const readiness = createReadiness({
    backend: cloud.name,
    clock,
    log,
    examine: async (modelId, signal) => {
      await cloud.look(caller, known(modelId), signal);
      return undefined;
    },
  });
  const classOf = (modelId: string) => `${modelId}/cloud/${cloud.settings}/max${cloudTokens}/anchor`;

  const generate: ProbedBackend["generate"] = async ({ modelId, prompt }, { signal, onToken }) => {
    checkPrompt(prompt);
    const model = known(modelId);
    const started = clock.now();
    const anchored = anchoredPrompt(modelId, prompt);
    const limitMs = options.timeoutMs ?? timeoutMs;
    const answer = await cloud.ask({ caller, model, prompt: anchored, timeoutMs: limitMs, signal });
    onToken?.(answer.text);
    return { ...answer, finishReason: "stop", determinismClass: classOf(modelId), ms: clock.now() - started };
  };

  return {
    name: cloud.name,
    models: () => [...ids],
    slots,
    determinismClass: (modelId) => (ids.includes(modelId) ? classOf(modelId) : undefined),
    // There is nothing to load: a key that is missing is all that can be found out for free and at once.
    warm: (modelId, signal) =>
      readiness.watch(ids, modelId, async () => {
        signal.throwIfAborted();
        known(modelId);
      }),
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
