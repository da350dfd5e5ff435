import { uniform } from "../../crypto/random.ts";
import type { Claim } from "../../icl/wire.ts";
import { errorCode, isRetryable } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { retry } from "../../lib/retry.ts";
import type { NodeContext } from "../context.ts";
import type { JobKey, JobRecord } from "../journal/job-record.ts";

/** One claimed job on its way. */
export type Job = {
  key: JobKey;
  record: JobRecord;
  claim: Claim;
  log: Logger;
  /** Milliseconds since the epoch. */
  startedAt: number;
  /** Called when the model is free again, so that the next job may be claimed. */
  modelDone(): void;
};

export type StepOptions = {
  /** Delay before the second attempt, in milliseconds. */
  initialMs?: number;
  retryable?: (error: unknown) => boolean;
};

/** Codes of answers that nobody can read: a proxy's error page, or a body that was cut off. The request may well have been understood. */
const unreadable = new Set(["ICL_NOT_JSON", "ICL_UNEXPECTED_ANSWER", "ICL_BODY_TOO_LARGE"]);

/** Whether the same request to the coordinator may get a proper answer later. */
export function mayPass(error: unknown): boolean {
  return isRetryable(error) || unreadable.has(errorCode(error));
}

/**
 * How a submission is repeated when its answer was lost. Within one second it would carry the same signature again, which a coordinator
 * takes for a replay (PROTOCOL.md 18) and answers like one that does not know the node.
 */
export const submission: StepOptions = {
  initialMs: 1500,
  retryable: (error) => mayPass(error) || errorCode(error) === "ICL_UNKNOWN",
};

/**
 * Runs one step: measures it, and repeats it with backoff while its error says that it may pass. The signal carries the
 * claim's deadline, so a step that cannot succeed ends with the claim.
 */
export async function step<T>(
  ctx: NodeContext,
  job: Job,
  name: string,
  signal: AbortSignal,
  action: (signal: AbortSignal) => Promise<T>,
  { initialMs = 250, retryable = isRetryable }: StepOptions = {},
): Promise<T> {
  signal.throwIfAborted();
  const started = ctx.clock.now();
  const result = await retry(() => action(signal), {
    clock: ctx.clock,
    attempts: Number.POSITIVE_INFINITY,
    initialMs,
    maxMs: 10_000,
    random: () => uniform(ctx.random),
    retryable,
    signal,
  });
  const ms = ctx.clock.now() - started;
  job.record.timings[name] = ms;
  ctx.metrics.steps.observe({ role: job.key.role, step: name }, ms / 1000);
  job.log.debug("step done", { state: name, ms });
  return result;
}
