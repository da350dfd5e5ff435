import { commitment } from "../../crypto/commitment.ts";
import type { JobStatus, Verdict } from "../../icl/wire.ts";
import { abortable } from "../../lib/concurrent.ts";
import { BlfError, errorCode } from "../../lib/errors.ts";
import type { NodeContext } from "../context.ts";
import { generate } from "./generate.ts";
import { type Job, mayPass, step, submission } from "./job.ts";
import { openPrompt } from "./open-prompt.ts";

/**
 * PROTOCOL.md 10: the leader's CID is asked for after 0.5 s, then ever more rarely up to every 10 s, for 120 s. While the coordinator cannot be
 * reached nothing counts: the leader cannot reach it either.
 */
const pollMs = { initial: 500, max: 10_000, total: 120_000 };

/** Verifies a leader's answer by giving its own (DESIGN.md section 3). */
export async function runVerifier(ctx: NodeContext, job: Job, signal: AbortSignal): Promise<void> {
  const prompt = await openPrompt(ctx, job, signal);
  const generation = await generate(ctx, job, prompt, signal);
  ctx.journal.advance(job.key, "generated", { determinismClass: generation.determinismClass });
  const status = await step(ctx, job, "wait-for-leader", signal, (s) => waitForLeader(ctx, job.key.taskId, s));
  const promised = commitment(status.outputCid, generation.text);
  const verdict: Verdict =
    status.leaderCommitment === undefined || status.leaderCommitment === promised ? "CONFIRM" : "REJECT";
  ctx.journal.commit(job.key, promised);
  const change = { commitment: promised, verdict, outputCid: status.outputCid };
  ctx.journal.advance(job.key, "committed", change, { durable: true });
  Object.assign(job.record, change);
  await submitVerifier(ctx, job, signal);
}

/** The last step of a verifier's job, which needs only what the journal holds. */
export async function submitVerifier(ctx: NodeContext, job: Job, signal: AbortSignal): Promise<void> {
  const { taskId, commitment: promised, verdict } = job.record;
  if (!promised || !verdict) throw new Error("a verifier's job was committed without a commitment");
  const answered = { jobId: taskId, commitment: promised, verdict, confidence: 100 };
  const answer = await step(ctx, job, "submit", signal, (s) => ctx.icl.submitVerdict(answered, s), submission);
  job.record.timings["total"] = ctx.clock.now() - job.startedAt;
  ctx.journal.advance(job.key, "submitted", { timings: job.record.timings }, { durable: true });
  job.log.info("verdict submitted", { verdict, commitment: promised, state: answer.status });
}

/**
 * Waits until the leader has published its output.
 * @throws BlfError `LEADER_SILENT` after 120 s, `LEADER_JOB_OVER` when the job has ended without one
 */
async function waitForLeader(
  ctx: NodeContext,
  taskId: string,
  signal: AbortSignal,
): Promise<JobStatus & { outputCid: string }> {
  let waited = 0;
  for (let delay = pollMs.initial; ; delay = Math.min(delay * 2, pollMs.max)) {
    const asked = ctx.clock.now();
    let isThere = true;
    const status = await abortable(ctx.icl.jobStatus(taskId, signal), signal).catch((error: unknown) => {
      isThere = errorCode(error) === "ICL_UNKNOWN";
      if (!isThere && !mayPass(error)) throw error;
      return undefined;
    });
    if (status?.outputCid) return { ...status, outputCid: status.outputCid };
    if (status && /^(REJECTED|TIMEDOUT|FAILED)$/i.test(status.status)) throw jobOver(status.status);
    const took = Math.max(0, ctx.clock.now() - asked);
    if (isThere && waited + took + delay > pollMs.total) throw leaderSilent();
    await ctx.clock.sleep(delay, signal);
    if (isThere) waited += took + delay;
  }
}

function leaderSilent(): BlfError {
  return new BlfError({
    code: "LEADER_SILENT",
    message: `The leader published no output within ${pollMs.total / 1000} s`,
    hint: "Nothing to do here: the leader failed, and this node has no part in it.",
  });
}

function jobOver(status: string): BlfError {
  return new BlfError({
    code: "LEADER_JOB_OVER",
    message: `The job ended as ${status} before the leader published an output`,
    hint: "Nothing to do here: the job failed elsewhere.",
  });
}
