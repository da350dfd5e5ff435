import { uniform } from "../../crypto/random.ts";
import type { Claim } from "../../icl/wire.ts";
import { deadlineSignal } from "../../lib/deadline.ts";
import { BlfError, errorCode } from "../../lib/errors.ts";
import { retry } from "../../lib/retry.ts";
import type { NodeContext } from "../context.ts";
import type { JobKey, JobRecord } from "../journal/job-record.ts";
import type { Job } from "./job.ts";
import { runLeader, submitLeader } from "./leader.ts";
import { runVerifier, submitVerifier } from "./verifier.ts";

/** Time kept free before the claim's deadline for the last request to arrive, in milliseconds. */
const marginMs = 2000;

/**
 * Claims a job and does it, or goes on with one that an earlier run of the node had begun. Never throws: a failure is
 * written into journal, log and metrics.
 */
export async function runJob(ctx: NodeContext, key: JobKey, modelDone: () => void, signal: AbortSignal): Promise<void> {
  const log = ctx.log.with({ jobId: key.taskId, role: key.role });
  const started = ctx.clock.now();
  ctx.metrics.running.inc();
  try {
    const record = ctx.journal.find(key);
    if (!record) throw new Error("a job was started that is not in the journal");
    if (record.engineCrashes > 0) throw engineCrashedBefore();
    const claim = outputIsSafe(record) ? storedClaim(record) : await claimJob(ctx, record, signal);
    const job: Job = { key, record, claim, log, startedAt: started, modelDone };
    log.info("job claimed", { model: record.modelId, deadline: new Date(claim.claimDeadline * 1000).toISOString() });
    const deadline = deadlineSignal(ctx.clock, claim.claimDeadline * 1000 - marginMs, signal);
    try {
      await continueFrom(ctx, job, deadline.signal);
    } finally {
      deadline.clear();
    }
    ctx.metrics.jobs.inc({ role: key.role, outcome: "submitted", code: "" });
    log.info("job done", { ms: ctx.clock.now() - started });
  } catch (error) {
    recordFailure(ctx, key, error, signal);
  } finally {
    modelDone();
    ctx.metrics.running.dec();
  }
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
      return leader ? runLeader(ctx, job, signal) : runVerifier(ctx, job, signal);
  }
}

/** Whether only submission is left, which needs neither the prompt nor another claim. */
export function outputIsSafe(record: JobRecord): boolean {
  return record.state === "uploaded" || record.state === "key-stored" || record.state === "committed";
}

function storedClaim(record: JobRecord): Claim {
  return { kpHighHandle: 0n, kpLowHandle: 0n, claimDeadline: record.claimDeadline ?? 0 };
}

/** The claim may have arrived although its answer did not, so it is repeated rather than given up: it is the same claim to the coordinator. */
async function claimJob(ctx: NodeContext, record: JobRecord, signal: AbortSignal): Promise<Claim> {
  const claim = await retry(() => ctx.icl.claim(record.taskId, signal), {
    clock: ctx.clock,
    attempts: 8,
    initialMs: 500,
    maxMs: 10_000,
    random: () => uniform(ctx.random),
    signal,
  });
  const deadline = Math.min(record.claimDeadline ?? claim.claimDeadline, claim.claimDeadline);
  if (claim.kpHighHandle === 0n || claim.kpLowHandle === 0n)
    throw new BlfError({
      code: "CLAIM_WITHOUT_KEY",
      message: "The coordinator gave no handle of the prompt's key",
      hint: "The requester has not stored the key for this node: nothing to do here.",
    });
  if (record.state === "assigned") {
    ctx.journal.advance(record, "claimed", { claimDeadline: deadline }, { durable: true });
    record.state = "claimed";
  }
  return { ...claim, claimDeadline: deadline };
}

function recordFailure(ctx: NodeContext, key: JobKey, error: unknown, signal: AbortSignal): void {
  const log = ctx.log.with({ jobId: key.taskId, role: key.role });
  if (signal.aborted) {
    log.warn("job interrupted by the shutdown; it goes on at the next start if its deadline allows");
    return;
  }
  const code = errorCode(error);
  const known = error instanceof BlfError;
  ctx.metrics.jobs.inc({ role: key.role, outcome: "failed", code });
  log.error("job failed", {
    code,
    error: known ? error.message : "unexpected error",
    ...(known ? { hint: error.hint } : {}),
  });
  try {
    ctx.journal.advance(key, "failed", { failureCode: code }, { durable: true });
  } catch (failure) {
    // A full disk, say. The job stays where it was and is looked at again after the next start.
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
