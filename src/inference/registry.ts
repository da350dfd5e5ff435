import { BlfError } from "../lib/errors.ts";
import type { Backend, BackendHealth, GenerateOptions, GenerateRequest, Generation } from "./backend.ts";

/** All backends of a node, found by exact model id. There is no fallback from one to another. */
export type BackendRegistry = {
  /** The model ids that the node advertises, in the order of configuration. */
  models(): string[];
  /** How many generations all backends together may run side by side. */
  slots: number;
  /** How many generations of this model may run side by side. Throws `MODEL_UNKNOWN`. */
  slotsOf(modelId: string): number;
  /** Whether a job for this model may be claimed: somebody serves it, and is not unhealthy. */
  canServe(modelId: string): boolean;
  /** Throws `MODEL_UNKNOWN`. */
  backendOf(modelId: string): Backend;
  determinismClass(modelId: string): string | undefined;
  warm(modelId: string, signal: AbortSignal): Promise<void>;
  /** Throws `MODEL_UNKNOWN`, and what the backend throws. */
  generate(request: GenerateRequest, options: GenerateOptions): Promise<Generation>;
  /** By name of the backend. */
  health(): Record<string, BackendHealth>;
  close(): Promise<void>;
};

/** So many failures in a row make a backend unhealthy. */
const failuresUntilUnhealthy = 3;

/** @throws BlfError `MODEL_AMBIGUOUS` when two backends serve the same model. */
export function createBackendRegistry(backends: Backend[]): BackendRegistry {
  const byModel = new Map<string, Backend>();
  const failures = new Map<Backend, { count: number; code: string }>();
  for (const backend of backends)
    for (const modelId of backend.models()) {
      const other = byModel.get(modelId);
      if (other) throw ambiguous(modelId, other.name, backend.name);
      byModel.set(modelId, backend);
    }

  const backendOf = (modelId: string): Backend => {
    const backend = byModel.get(modelId);
    if (!backend) throw unknown(modelId);
    return backend;
  };

  /** Counts failures in a row. An abort and a prompt that cannot be answered are not the backend's. */
  const counted = async <T>(backend: Backend, signal: AbortSignal, action: () => Promise<T>): Promise<T> => {
    try {
      const result = await action();
      failures.delete(backend);
      return result;
    } catch (error) {
      const code = error instanceof BlfError ? error.code : "INTERNAL";
      const isOurs = !signal.aborted && !code.startsWith("MODEL_PROMPT_");
      if (isOurs) failures.set(backend, { count: (failures.get(backend)?.count ?? 0) + 1, code });
      throw error;
    }
  };

  const healthOf = (backend: Backend): BackendHealth => {
    const { count, code } = failures.get(backend) ?? { count: 0, code: "" };
    if (count < failuresUntilUnhealthy) return backend.health();
    return { status: "unhealthy", detail: `${count} failures in a row, the last one ${code}` };
  };

  return {
    models: () => [...byModel.keys()],
    slots: backends.reduce((sum, backend) => sum + backend.slots, 0),
    slotsOf: (modelId) => backendOf(modelId).slots,
    canServe: (modelId) => {
      const backend = byModel.get(modelId);
      return backend !== undefined && healthOf(backend).status !== "unhealthy";
    },
    backendOf,
    determinismClass: (modelId) => byModel.get(modelId)?.determinismClass(modelId),
    warm: async (modelId, signal) => {
      const backend = backendOf(modelId);
      await counted(backend, signal, () => backend.warm(modelId, signal));
    },
    generate: async (request, options) => {
      const backend = backendOf(request.modelId);
      return counted(backend, options.signal, () => backend.generate(request, options));
    },
    health: () => Object.fromEntries(backends.map((backend) => [backend.name, healthOf(backend)])),
    close: async () => {
      await Promise.all(backends.map((backend) => backend.close()));
    },
  };
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
