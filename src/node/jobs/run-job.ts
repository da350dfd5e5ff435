import { uniform } from "../../crypto/random.ts";
import type { Claim } from "../../icl/wire.ts";
import { deadlineSignal } from "../../lib/deadline.ts";
import { BlfError, errorCode, failureFields } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { retry } from "../../lib/retry.ts";
import type { NodeContext } from "../context.ts";
import type { JobKey, JobRecord } from "../journal/job-record.ts";
import { noteLeaderOutcome } from "../leader-trouble.ts";
import { learnPace } from "../pace.ts";
import { claimJob, endOfClaim } from "./claim.ts";
import { withFailpoints } from "./failpoints.ts";
import type { Job } from "./job.ts";
import { runLeader, submitLeader } from "./leader.ts";
import { lookAtPrompt } from "./look-at-prompt.ts";
import { runVerifier, submitVerifier } from "./verifier.ts";

declare const BLF_TEST_BUILD: boolean | undefined;

export type RunOptions = {
  /** Aborted when the node wants to end: nothing is then waited for that may never come. */
  draining?: AbortSignal;
  /** Whether no earlier run can have claimed it. */
  isNew?: boolean;
};

type Ending = { signal: AbortSignal; draining: AbortSignal };

/**
 * Claims a job and does it, or goes on with one that an earlier run of the node had begun. Never throws: a failure is
 * written into journal, log and metrics.
 */
export async function runJob(
  ctx: NodeContext,
  key: JobKey,
  modelDone: () => void,
  signal: AbortSignal,
  { draining = signal, isNew = false }: RunOptions = {},
): Promise<void> {
  const log = ctx.log.with({ jobId: key.taskId, role: key.role });
  const started = ctx.clock.now();
  ctx.metrics.running.inc();
  try {
    const job = { key, log, startedAt: started, modelDone };
    const record = ctx.journal.find(key);
    if (isNew && record?.state === "assigned") await lookAtPrompt(ctx, record, signal);
    const own = typeof BLF_TEST_BUILD === "boolean" && BLF_TEST_BUILD ? withFailpoints(ctx, key) : ctx;
    await whenWritable(ctx, log, { signal, draining }, () => attempt(own, job, signal));
    ctx.metrics.jobs.inc({ role: key.role, outcome: "submitted", code: "" });
    if (key.role === "leader") noteLeaderOutcome(ctx, undefined);
    log.info("job done", { ms: ctx.clock.now() - started });
  } catch (error) {
    await recordFailure(ctx, key, error, { signal, draining });
  } finally {
    modelDone();
    ctx.metrics.running.dec();
  }
}

/** Does what the journal says is left to do. */
async function attempt(ctx: NodeContext, job: Omit<Job, "record" | "claim">, signal: AbortSignal): Promise<void> {
  const record = ctx.journal.find(job.key);
  if (!record) throw new Error("a job was started that is not in the journal");
  if (record.engineCrashes > 0) throw engineCrashedBefore();
  const claim = outputIsSafe(record) ? storedClaim(record) : await claimJob(ctx, record, signal);
  job.log.info("job claimed", {
    model: record.modelId,
    deadline: new Date(claim.claimDeadline * 1000).toISOString(),
  });
  const deadline = deadlineSignal(ctx.clock, () => endOfClaim(ctx, claim.claimDeadline), signal);
  try {
    await continueFrom(ctx, { ...job, record, claim }, deadline.signal);
  } finally {
    deadline.clear();
  }
}

/**
 * Repeats an action that the journal could not follow, as while the disk is full, unless the node wants to end. What was written down before is
 * not done again.
 */
function whenWritable<T>(
  ctx: NodeContext,
  log: Logger,
  { signal, draining }: Ending,
  action: () => Promise<T>,
): Promise<T> {
  return retry(
    (count) => {
      if (count > 0) log.warn("the journal could not be written, trying again", { attempt: count });
      return action();
    },
    {
      clock: ctx.clock,
      attempts: Number.POSITIVE_INFINITY,
      initialMs: 1000,
      maxMs: 5000,
      random: () => uniform(ctx.random),
      retryable: (error) => isJournalTrouble(error) && !draining.aborted,
      signal,
    },
  );
}

/** Trouble of the disk that may pass, in SQLite's words. */
function isJournalTrouble(error: unknown): boolean {
  return /^SQLITE_(FULL|IOERR|BUSY|LOCKED)/.test(errorCode(error));
}

/** Enters the job where the journal says that it stands. */
function continueFrom(ctx: NodeContext, job: Job, signal: AbortSignal): Promise<void> {
  const leader = job.key.role === "leader";
  switch (job.record.state) {
    case "uploaded":
    case "key-stored":
      return submitLeader(ctx, job, signal);
    case "committed":
      return leader ? submitLeader(ctx, job, signal) : submitVerifier(ctx, job, signal);
    default:
      return doWhole(ctx, job, signal);
  }
}

async function doWhole(ctx: NodeContext, job: Job, signal: AbortSignal): Promise<void> {
  await (job.key.role === "leader" ? runLeader(ctx, job, signal) : runVerifier(ctx, job, signal));
  const { generate = 0, total = 0, "wait-for-leader": waited = 0 } = job.record.timings;
  learnPace(ctx, job.record, { modelMs: generate, restMs: Math.max(0, total - generate - waited) });
}

/** Whether only submission is left, which needs neither the prompt nor another claim. */
export function outputIsSafe(record: JobRecord): boolean {
  return record.state === "uploaded" || record.state === "key-stored" || record.state === "committed";
}

function storedClaim(record: JobRecord): Claim {
  return { kpHighHandle: 0n, kpLowHandle: 0n, claimDeadline: record.claimDeadline ?? 0 };
}

async function recordFailure(ctx: NodeContext, key: JobKey, error: unknown, ending: Ending): Promise<void> {
  const log = ctx.log.with({ jobId: key.taskId, role: key.role });
  if (ending.signal.aborted) {
    log.warn("job interrupted by the shutdown; it goes on at the next start if its deadline allows");
    return;
  }
  const code = errorCode(error);
  if (isJournalTrouble(error)) {
    log.error("the journal cannot be written; the job goes on at the next start if its deadline allows", { code });
    return;
  }
  ctx.metrics.jobs.inc({ role: key.role, outcome: "failed", code });
  log.error("job failed", failureFields(error));
  try {
    await whenWritable(ctx, log, ending, async () => {
      if (key.role === "leader") noteLeaderOutcome(ctx, code);
      ctx.journal.advance(key, "failed", { failureCode: code }, { durable: true });
    });
  } catch (failure) {
    // The node ends while the disk is full, say. The job stays where it was and is looked at again after the next start.
    log.error("the failure could not be written down", { code: errorCode(failure) });
  }
}

function engineCrashedBefore(): BlfError {
  return new BlfError({
    code: "ENGINE_CRASHED_BEFORE",
    message: "This job made the inference engine crash once and is not run again on this node",
    hint: "Look at the log of the crash; take the model out of the configuration if others crash too.",
  });
}
