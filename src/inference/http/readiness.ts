import type { Clock } from "../../lib/clock.ts";
import { BlfError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import type { BackendHealth } from "../backend.ts";
import type { RateLimit } from "./rate-limit.ts";

/** Why a model that can be reached is still not fit, and when it is worth looking again. */
export type Objection = { detail: string; againAfterMs: number };

type State = { kind: "unknown" } | { kind: "ready" } | { kind: "unfit"; detail: string; againAt: number };

/** What is known of each model of a service. */
export type Readiness = {
  health(modelId: string): BackendHealth;
  isReady(modelId: string): boolean;
  /** Looks at a model; several who ask at a time get one look. */
  probe(modelId: string, signal: AbortSignal): Promise<void>;
  /** What was found out about these models no longer holds. */
  doubt(modelIds: string[], error: BlfError): void;
  /**
   * Does something with a model. An error that says that the service has lost it, or refuses the key for all of them, ends what was
   * known until the next look.
   */
  watch<T>(all: string[], modelId: string, action: () => Promise<T>): Promise<T>;
};

export type ReadinessOptions = {
  backend: string;
  /** Says what speaks against a model. @throws BlfError when that cannot be found out */
  examine(modelId: string, signal: AbortSignal): Promise<Objection | undefined>;
  clock: Clock;
  log: Logger;
};

export function createReadiness({ backend, examine, clock, log }: ReadinessOptions): Readiness {
  const states = new Map<string, State>();
  const underWay = new Map<string, Promise<void>>();
  const stateOf = (modelId: string): State => states.get(modelId) ?? { kind: "unknown" };

  const enter = (modelId: string, state: State, code?: string): void => {
    const before = stateOf(modelId);
    states.set(modelId, state);
    if (state.kind === "unfit" && (before.kind !== "unfit" || before.detail !== state.detail))
      log.warn("model is not offered", { model: modelId, backend, reason: state.detail, ...(code ? { code } : {}) });
    if (state.kind === "ready" && before.kind !== "ready") log.info("model is offered", { model: modelId, backend });
  };

  const doubt = (modelIds: string[], { message, code }: BlfError): void => {
    for (const modelId of modelIds) enter(modelId, { kind: "unfit", detail: message, againAt: 0 }, code);
  };

  const look = async (modelId: string, signal: AbortSignal): Promise<void> => {
    try {
      const objection = await examine(modelId, signal);
      if (!objection) return enter(modelId, { kind: "ready" });
      const { detail, againAfterMs } = objection;
      enter(modelId, { kind: "unfit", detail, againAt: clock.now() + againAfterMs });
    } catch (error) {
      if (!signal.aborted && error instanceof BlfError) doubt([modelId], error);
      throw error;
    }
  };

  return {
    isReady: (modelId) => stateOf(modelId).kind === "ready",
    health: (modelId) => {
      const state = stateOf(modelId);
      if (state.kind === "unfit") return { status: "unhealthy", detail: state.detail };
      if (state.kind === "ready") return { status: "healthy", detail: "" };
      return { status: "degraded", detail: "not tested yet: the running node does that at its start" };
    },
    probe: (modelId, signal) => {
      const state = stateOf(modelId);
      if (state.kind === "unfit" && clock.now() < state.againAt) return Promise.resolve();
      const running = underWay.get(modelId);
      if (running) return running;
      const looking = look(modelId, signal).finally(() => underWay.delete(modelId));
      underWay.set(modelId, looking);
      return looking;
    },
    doubt,
    watch: async (all, modelId, action) => {
      try {
        return await action();
      } catch (error) {
        // Of models that were never looked at nothing is known that could end.
        const ready = (modelIds: string[]) => modelIds.filter((id) => stateOf(id).kind === "ready");
        if (error instanceof BlfError && /_KEY_(REFUSED|MISSING)$/.test(error.code)) doubt(ready(all), error);
        if (error instanceof BlfError && /_MODEL_(UNKNOWN|MISMATCH)$/.test(error.code)) doubt(ready([modelId]), error);
        throw error;
      }
    },
  };
}

/** Of several models: unhealthy when all of them are, and otherwise what the service's limit says. */
export function combinedHealth(readiness: Readiness, modelIds: string[], limit: RateLimit): BackendHealth {
  const all = modelIds.map((modelId) => readiness.health(modelId));
  const [first] = all;
  if (first && all.every(({ status }) => status !== "healthy")) return first;
  return limit.health();
}

/** A service that allows no request for longer than this gets no new jobs, in milliseconds. */
const longestPauseMs = 30_000;

export function lastsTooLong(limit: RateLimit): boolean {
  return limit.waitMs() > longestPauseMs;
}
