import { BlfError } from "../lib/errors.ts";
import type { Backend, BackendHealth, GenerateOptions, GenerateRequest, Generation, OutputCheck } from "./backend.ts";
import type { ProbedBackend } from "./http/probed-backend.ts";

/** All backends of a node, found by exact model id. There is no fallback from one to another. */
export type BackendRegistry = {
  /** All model ids, in the order of configuration. */
  models(): string[];
  /** Those that the network may be told of: their backend is not unhealthy, and has found them fit where it looks for that. */
  advertised(): string[];
  /** How many generations all backends together may run side by side. */
  slots: number;
  /** How many generations of this model may run side by side. Throws `MODEL_UNKNOWN`. */
  slotsOf(modelId: string): number;
  /** Whether a job for this model may be claimed now: it is advertised, and its service does not refuse requests for long. */
  canServe(modelId: string): boolean;
  /** Whether it is up to this machine alone whether the model works. Throws `MODEL_UNKNOWN`. */
  isLocal(modelId: string): boolean;
  /** Throws `MODEL_UNKNOWN`. */
  backendOf(modelId: string): Backend;
  determinismClass(modelId: string): string | undefined;
  /** Whether a prompt of so many bytes can fit into the model's context, as far as that is known. Throws `MODEL_UNKNOWN`. */
  mayFit(modelId: string, promptBytes: number): boolean;
  warm(modelId: string, signal: AbortSignal): Promise<void>;
  /** Throws `MODEL_UNKNOWN`, and what the backend throws. */
  generate(request: GenerateRequest, options: GenerateOptions): Promise<Generation>;
  /** Whether `verify` may be asked about this model. Throws `MODEL_UNKNOWN`. */
  canVerify(modelId: string): boolean;
  /** Whether the model answers with exactly this text. Throws as `generate` does. */
  verify(request: GenerateRequest, output: string, options: { signal: AbortSignal }): Promise<OutputCheck>;
  /** By name of the backend. */
  health(): Record<string, BackendHealth>;
  /** Of one model: its own, or that of its backend. Throws `MODEL_UNKNOWN`. */
  healthOf(modelId: string): BackendHealth;
  /**
   * Looks at one model, as far as its backend knows how to, and warms it otherwise. Throws `MODEL_UNKNOWN`, and what the backend throws;
   * what it found speaks through `healthOf`.
   */
  look(modelId: string, signal: AbortSignal): Promise<void>;
  /**
   * Looks again at every model that is not advertised, which brings it back when it works; at one of this machine ever more rarely. One
   * that fails does not keep the others from being looked at; the first error is thrown at the end.
   */
  probe(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
};

/** So many failures in a row make a backend, or one of its models, unhealthy: one less than those for which a stake is slashed. */
const failuresUntilUnhealthy = 2;

/** Rounds of looking at what failed, which come every minute. */
const longestRest = 31;

/** Failures that say nothing about a backend: a prompt that it cannot or may not answer, and requests that came too fast. */
const forgiven = /^MODEL_PROMPT_|_(PROMPT_REJECTED|ANSWER_BLOCKED|ANSWER_TRUNCATED|RATE_LIMITED)$/;

/** Failures that no other model of the same service would have been spared. */
const ofTheService = /_(UNREACHABLE|CONNECTION_LOST|TIMEOUT|UNAVAILABLE)$/;

/** @throws BlfError `MODEL_AMBIGUOUS` when two backends serve the same model. */
export function createBackendRegistry(backends: (Backend | ProbedBackend)[]): BackendRegistry {
  const byModel = new Map<string, Backend | ProbedBackend>();
  /** By backend, or by model for what is the matter of one model only. */
  const failures = new Map<Backend | string, { count: number; code: string }>();
  for (const backend of backends)
    for (const modelId of backend.models()) {
      const other = byModel.get(modelId);
      if (other) throw ambiguous(modelId, other.name, backend.name);
      byModel.set(modelId, backend);
    }

  const backendOf = (modelId: string): Backend | ProbedBackend => {
    const backend = byModel.get(modelId);
    if (!backend) throw unknown(modelId);
    return backend;
  };

  const worked = (modelId: string): void => {
    failures.delete(backendOf(modelId));
    failures.delete(modelId);
    resting.delete(modelId);
  };

  /** What a failure is counted for. */
  const scopeOf = (modelId: string, code: string): Backend | string => {
    const backend = backendOf(modelId);
    const isOneModels = isProbed(backend) ? !ofTheService.test(code) : code.startsWith("MODEL_");
    return isOneModels ? modelId : backend;
  };

  /** Counts failures in a row; an abort is none. */
  const counted = async <T>(modelId: string, signal: AbortSignal, action: () => Promise<T>): Promise<T> => {
    try {
      const result = await action();
      worked(modelId);
      return result;
    } catch (error) {
      const code = codeOf(error);
      if (signal.aborted || forgiven.test(code)) throw error;
      const scope = scopeOf(modelId, code);
      failures.set(scope, { count: (failures.get(scope)?.count ?? 0) + 1, code });
      throw error;
    }
  };

  const givenUp = (...scopes: (Backend | string)[]): BackendHealth | undefined => {
    const worst = scopes.map((scope) => failures.get(scope)).find((failure) => failure && isTooMany(failure.count));
    return (
      worst && {
        status: "unhealthy",
        detail: `it failed several times in a row, or could not be loaded: ${worst.code}`,
      }
    );
  };

  const healthOf = (modelId: string): BackendHealth => {
    const backend = backendOf(modelId);
    return givenUp(backend, modelId) ?? (isProbed(backend) ? backend.modelHealth(modelId) : backend.health());
  };

  const isAdvertised = (modelId: string): boolean => {
    const backend = backendOf(modelId);
    return healthOf(modelId).status !== "unhealthy" && (!isProbed(backend) || backend.isOffered(modelId));
  };

  /** What cannot be loaded here cannot answer: no job needs to be lost to see it again. */
  const warm = async (modelId: string, signal: AbortSignal): Promise<void> => {
    const backend = backendOf(modelId);
    if (isProbed(backend)) return counted(modelId, signal, () => backend.warm(modelId, signal));
    try {
      await backend.warm(modelId, signal);
      worked(modelId);
    } catch (error) {
      if (!signal.aborted) failures.set(modelId, { count: failuresUntilUnhealthy, code: codeOf(error) });
      throw error;
    }
  };

  /** A look that fails is no failure of the backend: it keeps to itself what it found out about the model. */
  const look = async (modelId: string, signal: AbortSignal): Promise<void> => {
    const backend = backendOf(modelId);
    if (!isProbed(backend)) return warm(modelId, signal);
    await backend.probe(modelId, signal);
    if (backend.isOffered(modelId)) worked(modelId);
  };

  /** Rounds that a model which could not be loaded is left alone: each try takes the place of one that works. */
  const resting = new Map<string, { tries: number; rounds: number }>();
  const rests = (modelId: string): boolean => {
    const rest = resting.get(modelId);
    return rest !== undefined && rest.rounds-- > 0;
  };
  const letRest = (modelId: string): void => {
    const tries = (resting.get(modelId)?.tries ?? 0) + 1;
    resting.set(modelId, { tries, rounds: Math.min(2 ** (tries - 1) - 1, longestRest) });
  };

  const probeAll = async (signal: AbortSignal): Promise<void> => {
    const errors: unknown[] = [];
    // Backends do not wait for each other, since one of them may be silent for long; what one bears at a time only it knows.
    const looks = backends.map(async (backend) => {
      const sick = backend.models().filter((modelId) => !isAdvertised(modelId));
      for (const modelId of sick) {
        // One model that could be loaded speaks for the others; one that was compared with itself does not.
        if (!isProbed(backend) && (isAdvertised(modelId) || rests(modelId))) continue;
        await look(modelId, signal).catch((error: unknown) => {
          errors.push(error);
          if (!isProbed(backend)) letRest(modelId);
        });
        signal.throwIfAborted();
      }
    });
    await Promise.all(looks);
    if (errors.length > 0) throw errors[0];
  };
  let probing: Promise<void> | undefined;

  return {
    models: () => [...byModel.keys()],
    advertised: () => [...byModel.keys()].filter(isAdvertised),
    slots: backends.reduce((sum, backend) => sum + backend.slots, 0),
    slotsOf: (modelId) => backendOf(modelId).slots,
    canServe: (modelId) => {
      const backend = byModel.get(modelId);
      return backend !== undefined && isAdvertised(modelId) && (!isProbed(backend) || backend.isOpen(modelId));
    },
    isLocal: (modelId) => !isProbed(backendOf(modelId)),
    backendOf,
    determinismClass: (modelId) => byModel.get(modelId)?.determinismClass(modelId),
    mayFit: (modelId, promptBytes) => backendOf(modelId).mayFit?.(modelId, promptBytes) ?? true,
    warm,
    generate: async (request, options) =>
      counted(request.modelId, options.signal, () => backendOf(request.modelId).generate(request, options)),
    canVerify: (modelId) => backendOf(modelId).verify !== undefined,
    verify: async (request, output, options) =>
      counted(request.modelId, options.signal, async () => {
        const backend = backendOf(request.modelId);
        if (!backend.verify) throw new TypeError(`the backend ${backend.name} cannot verify`);
        return backend.verify(request, output, options);
      }),
    health: () => Object.fromEntries(backends.map((backend) => [backend.name, givenUp(backend) ?? backend.health()])),
    healthOf,
    look,
    probe: (signal) => {
      probing ??= probeAll(signal).finally(() => {
        probing = undefined;
      });
      return probing;
    },
    close: async () => {
      await Promise.all(backends.map((backend) => backend.close()));
    },
  };
}

function codeOf(error: unknown): string {
  return error instanceof BlfError ? error.code : "INTERNAL";
}

function isTooMany(count: number): boolean {
  return count >= failuresUntilUnhealthy;
}

function isProbed(backend: Backend | ProbedBackend): backend is ProbedBackend {
  return "probe" in backend;
}

function unknown(modelId: string): BlfError {
  return new BlfError({
    code: "MODEL_UNKNOWN",
    message: `No backend serves the model ${modelId}`,
    hint: "`blindference status` shows the models of this node; ids must match exactly.",
  });
}

function ambiguous(modelId: string, first: string, second: string): BlfError {
  return new BlfError({
    code: "MODEL_AMBIGUOUS",
    message: `The model ${modelId} is served by two backends, ${first} and ${second}`,
    hint: "Keep it in one of them: nodes of one network must agree on what an id means.",
  });
}
