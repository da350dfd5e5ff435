import type { Address } from "viem";
import { outputKeyJobId } from "../../crypto/commitment.ts";
import { type Context, now, tell } from "./context.ts";
import { RequestError } from "./http.ts";
import { considerVotes } from "./lifecycle.ts";
import { type Job, type LeaderResult, type Seat, seats, type VerdictWord } from "./state.ts";

/**
 * A member takes its seat (PROTOCOL.md 4.4). Claiming again gives the same answer and does not move the deadline.
 * @throws RequestError 403 for anybody else, 409 when it is too late
 */
export function claim(ctx: Context, job: Job, signer: Address): Record<string, unknown> {
  const seat = seats(job).find((member) => member.address === signer);
  if (!seat) throw new RequestError(403, "this node is not in the quorum of this task");
  const key = requireOpen(ctx, job, seat);
  if (seat.state === "pending") {
    seat.state = "claimed";
    seat.claimDeadline = now(ctx) + ctx.limits.claimLife;
    job.updatedAt = now(ctx);
    tell(ctx, job, { stage: "claimed", address: seat.address, role: seat.role });
  }
  return {
    kpHighHandle: key.high,
    kpLowHandle: key.low,
    outputKeyGranted: true,
    claimDeadline: seat.claimDeadline ?? seat.assignedAt + ctx.limits.assignmentLife,
  };
}

export type ResultSubmission = {
  /** As the node sent it; it is given back. */
  sentId: string;
  outputCid: string;
  commitment: string;
  keyHigh: string | undefined;
  keyLow: string | undefined;
  keyStoreTx: `0x${string}` | undefined;
  verdict: string | undefined;
  confidence: number | undefined;
};

/**
 * The leader's answer (PROTOCOL.md 4.5). The first one counts: an identical one gets the same reply, a different one 409.
 * @throws RequestError 400, 409
 */
export async function recordResult(
  ctx: Context,
  job: Job,
  signer: Address,
  submission: ResultSubmission,
): Promise<Record<string, unknown>> {
  if (job.leader.address !== signer) throw new RequestError(400, "leader result submitted by non-leader address");
  if (submission.verdict !== undefined) requireWord(submission.verdict, "leader");
  const { sentId, ...content } = submission;
  const fingerprint = JSON.stringify(content);
  const earlier = () => {
    if (!job.result) return undefined;
    if (job.result.fingerprint === fingerprint) return { ...job.result.answer, job_id: sentId };
    throw new RequestError(409, "a different result was already recorded for this task");
  };
  const repeated = earlier();
  if (repeated) return repeated;
  requireOpen(ctx, job, job.leader);
  const key = await readOutputKey(ctx, job, submission);
  // While the chain was read, the same leader may have been heard a second time or have lost its seat.
  const meanwhile = earlier();
  if (meanwhile) return meanwhile;
  if (job.leader.address !== signer) throw new RequestError(409, "this task was given to another leader");
  requireOpen(ctx, job, job.leader);

  const answer: Record<string, unknown> = {
    status: "leader_result_recorded",
    job_id: sentId,
    task_id: job.taskId,
    commitment_hash: submission.commitment,
    output_key_store_tx: submission.keyStoreTx ?? null,
    output_key_store_job_id: outputKeyJobId(job.taskId).slice(2),
    finalized: false,
  };
  const result: LeaderResult = {
    outputCid: submission.outputCid,
    commitment: submission.commitment,
    keyHigh: key.high,
    keyLow: key.low,
    confidence: submission.confidence,
    at: now(ctx),
    fingerprint,
    answer,
  };
  job.result = result;
  job.leader.state = "answered";
  tell(ctx, job, {
    stage: "leaderResult",
    address: signer,
    role: "leader",
    commitment: result.commitment,
    outputCid: result.outputCid,
  });
  finish(ctx, job, answer);
  return answer;
}

export type VerdictSubmission = {
  sentId: string;
  commitment: string;
  verdict: string;
  confidence: number;
};

/**
 * A verifier's answer (PROTOCOL.md 4.6). It may come before the leader's, and after the quorum has decided as long as the
 * verifier's own time is not over. The first one counts.
 * @throws RequestError 400, 409
 */
export function recordVerdict(
  ctx: Context,
  job: Job,
  signer: Address,
  submission: VerdictSubmission,
): Record<string, unknown> {
  const seat = job.verifiers.find((member) => member.address === signer);
  if (!seat) throw new RequestError(400, "verifier verdict submitted by non-quorum verifier");
  const { commitment, confidence, sentId } = submission;
  const verdict = requireWord(submission.verdict, "verifier");
  const earlier = seat.verdict;
  if (earlier) {
    if (earlier.commitment === commitment && earlier.verdict === verdict && earlier.confidence === confidence)
      return { ...earlier.answer, job_id: sentId };
    throw new RequestError(409, "a different verdict of this verifier was already recorded for this task");
  }
  requireOpen(ctx, job, seat);
  const answer: Record<string, unknown> = {
    status: "verifier_verdict_recorded",
    job_id: sentId,
    task_id: job.taskId,
    verifier_address: signer,
    finalized: false,
  };
  seat.verdict = { commitment, verdict, confidence, at: now(ctx), answer };
  seat.state = "answered";
  tell(ctx, job, { stage: "verdict", address: signer, role: "verifier", commitment, verdict });
  finish(ctx, job, answer);
  return answer;
}

/** Whether a seat's time is over: not claimed within its assignment, or not answered within its claim. */
export function isExpired(ctx: Context, seat: Seat): boolean {
  const time = now(ctx);
  if (seat.state === "pending") return time > seat.assignedAt + ctx.limits.assignmentLife;
  return seat.state === "claimed" && time > (seat.claimDeadline ?? 0);
}

function finish(ctx: Context, job: Job, answer: Record<string, unknown>): void {
  job.updatedAt = now(ctx);
  considerVotes(ctx, job);
  if (job.status === "accepted" || job.status === "rejected")
    Object.assign(answer, { status: "committed", finalized: true });
}

function requireOpen(ctx: Context, job: Job, seat: Seat): { high: bigint; low: bigint } {
  if (job.closedAt !== undefined) throw new RequestError(409, "this task is final");
  if (seat.state === "silent" || isExpired(ctx, seat))
    throw new RequestError(409, "the time of this node for this task is over");
  if (!job.promptKey) throw new RequestError(409, "the prompt key of this task is not stored yet");
  return job.promptKey;
}

function requireWord(word: string, role: string): VerdictWord {
  const upper = word.toUpperCase();
  if (upper === "CONFIRM" || upper === "REJECT") return upper;
  throw new RequestError(400, `${role} verdict must be CONFIRM or REJECT`);
}

/**
 * The output key must lie in the key store, put there by the leader for the developer; otherwise the requester could never
 * open the output, and the original's fallback of handing out handles that nobody may decrypt would pay for nothing.
 */
async function readOutputKey(ctx: Context, job: Job, submission: ResultSubmission) {
  const tx = submission.keyStoreTx;
  if (!tx)
    throw new RequestError(400, "output_key_store_tx is required: without it the requester cannot open the output");
  const id = outputKeyJobId(job.taskId);
  const event = (await ctx.chain.getStoredKeys(tx)).filter((stored) => stored.jobId.toLowerCase() === id).at(-1);
  if (!event) throw new RequestError(400, `output_key_store_tx ${tx} does not store the output key of this task`);
  if (event.submitter !== job.leader.address)
    throw new RequestError(400, "the output key was not stored by the leader's wallet");
  if (!event.allowedNodes.includes(job.developer))
    throw new RequestError(400, "the output key was not stored for the developer of this task");
  if (event.high === 0n || event.low === 0n) throw new RequestError(400, "the stored output key is empty");
  return event;
}
