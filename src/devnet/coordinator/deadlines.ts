import type { Address } from "viem";
import { outputKeyJobId } from "../../crypto/commitment.ts";
import { errorCode, isRetryable } from "../../lib/errors.ts";
import { isExpired } from "./answers.ts";
import { type Context, now, tell } from "./context.ts";
import { blame, considerVotes, fail } from "./lifecycle.ts";
import { sendOwed } from "./outbox.ts";
import { chooseReplacement } from "./quorum.ts";
import { type Job, type Seat, seats, taskKey } from "./state.ts";
import { newSeat } from "./submission.ts";

/**
 * Replaces nodes that did not claim or did not answer in time, fails jobs that have no node left, and sends what closed
 * jobs still owe (PROTOCOL.md 13, whose original does none of it).
 */
export async function enforceDeadlines(ctx: Context): Promise<void> {
  for (const job of ctx.state.jobs.values()) {
    try {
      if (job.closedAt === undefined) await enforce(ctx, job);
    } catch (error) {
      // The chain does not answer: the job stays as it is until the next tick.
      ctx.log.warn("a job's deadlines could not be checked", { jobId: job.taskId, code: errorCode(error) });
    }
    if (!job.settled) await sendOwed(ctx, job);
  }
}

async function enforce(ctx: Context, job: Job): Promise<void> {
  if (job.status === "pending_store_key") {
    if (now(ctx) > job.createdAt + ctx.limits.storeKeyLife)
      fail(ctx, job, "timeout: the prompt key was not stored in time");
    return;
  }
  if (job.status !== "queued") return closeSilent(ctx, job);
  if (isExpired(ctx, job.leader)) return replace(ctx, job, job.leader);
  for (const seat of [...job.verifiers]) {
    // Without the leader's CID a verifier cannot answer; the leader's own deadline decides then.
    const waits = seat.state === "claimed" && !job.result;
    if (job.status === "queued" && !waits && isExpired(ctx, seat)) await replace(ctx, job, seat);
  }
}

/** The quorum has decided, so nobody needs to be replaced; those whose time is over are no longer waited for. */
function closeSilent(ctx: Context, job: Job): void {
  for (const seat of job.verifiers) {
    if (!isExpired(ctx, seat)) continue;
    if (isToBlame(ctx, job, seat)) blame(ctx, job, seat);
    seat.state = "silent";
  }
  considerVotes(ctx, job);
}

async function replace(ctx: Context, job: Job, seat: Seat): Promise<void> {
  if (seat.role === "leader") {
    // The key store keeps the first output key of a task, so that a second leader could never store its own.
    const holder = await ctx.chain.getKeySubmitter(outputKeyJobId(job.taskId));
    if (holder) return failForTakenKey(ctx, job, holder);
  }
  const members = [...seats(job), ...job.replaced].map(({ address }) => address);
  const successor = await chooseReplacement(ctx, job, members);
  const isLetIn = successor !== undefined && (await grantAccess(ctx, job, successor));
  // While the chain was asked, others may have decided or ended the job.
  if (job.status !== "queued") return;
  if (!isLetIn) {
    const blamed = seats(job).filter((member) => isExpired(ctx, member) && isToBlame(ctx, job, member));
    return fail(ctx, job, `timeout: ${seat.role} ${seat.address} is silent and no other node can take its place`, {
      blamed,
    });
  }
  if (isToBlame(ctx, job, seat)) blame(ctx, job, seat);
  const fresh = newSeat(successor, seat.role, now(ctx));
  seat.state = "silent";
  job.replaced.push(seat);
  job.updatedAt = now(ctx);
  if (seat.role === "leader") {
    job.leader = fresh;
    // A verifier gives up waiting for a CID long before this, so everybody starts again for the new leader.
    job.verifiers = job.verifiers.map(({ address }) => newSeat(address, "verifier", now(ctx)));
  } else job.verifiers = job.verifiers.map((member) => (member === seat ? fresh : member));
  tell(ctx, job, { stage: "replaced", address: seat.address, role: seat.role });
  tell(ctx, job, { stage: "assigned", address: successor, role: seat.role });
}

/** Whoever stored the output key is at fault: the leader that fell silent afterwards, or a verifier that took its place. */
function failForTakenKey(ctx: Context, job: Job, holder: Address): void {
  if (job.status !== "queued") return;
  const blamed = seats(job).filter(({ address, state }) => address === holder && state !== "pending");
  fail(ctx, job, `timeout: ${holder} stored the output key, but there is no result`, { blamed });
}

/** Lets a new member decrypt the prompt key; false when the key store refuses. */
async function grantAccess(ctx: Context, job: Job, node: Address): Promise<boolean> {
  try {
    await ctx.chain.grantDecryptAccess({ purpose: `grant:${job.requestId}:${node}`, jobId: taskKey(job.taskId), node });
    return true;
  } catch (error) {
    if (isRetryable(error)) throw error;
    ctx.log.error("the key store does not let a new node in", {
      jobId: job.taskId,
      address: node,
      code: errorCode(error),
    });
    return false;
  }
}

/** A node fails its duty when it claimed and then had what it needed to answer, but did not. */
function isToBlame(ctx: Context, job: Job, seat: Seat): boolean {
  if (seat.state !== "claimed") return false;
  if (seat.role === "leader") return true;
  const deadline = seat.claimDeadline ?? 0;
  return job.result !== undefined && job.result.at + ctx.limits.verifierGrace <= deadline;
}
