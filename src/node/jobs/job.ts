import type { Claim } from "../../icl/wire.ts";
import type { Logger } from "../../lib/log.ts";
import { retry } from "../../lib/retry.ts";
import type { NodeContext } from "../context.ts";
import type { JobKey, JobRecord } from "../journal/journal.ts";

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
): Promise<T> {
  const started = ctx.clock.now();
  const result = await retry(() => action(signal), {
    clock: ctx.clock,
    attempts: Number.POSITIVE_INFINITY,
    initialMs: 250,
    maxMs: 10_000,
    signal,
  });
  const ms = ctx.clock.now() - started;
  job.record.timings[name] = ms;
  ctx.metrics.steps.observe({ role: job.key.role, step: name }, ms / 1000);
  job.log.debug("step done", { state: name, ms });
  return result;
}
