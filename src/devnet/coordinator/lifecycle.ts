import { parseEther } from "viem";
import { refund } from "./accounts.ts";
import { confirms, type Decision, decide } from "./consensus.ts";
import { type Context, now, tell } from "./context.ts";
import { sendOwed } from "./outbox.ts";
import { payouts } from "./payout.ts";
import { type ChainAction, type Job, type LeaderResult, type Seat, seats } from "./state.ts";

/** What an accepted job is worth when it was not paid in BLIND, in wei (PROTOCOL.md 14). */
const defaultReward = parseEther("1");

/** The state of the vote, or undefined as long as the leader has said nothing. */
export function countVotes(job: Job): Decision | undefined {
  if (!job.result) return undefined;
  return decide({
    leader: { address: job.leader.address, commitment: job.result.commitment },
    verdicts: job.verifiers.flatMap(({ address, verdict }) => (verdict ? [{ ...verdict, address }] : [])),
    seats: job.verifiers.length + 1,
  });
}

/**
 * Settles what can be settled (PROTOCOL.md 12). The status changes as soon as the votes are enough; rewards and failures
 * wait until every verifier has answered or run out of time, so that a slow honest one still earns.
 */
export function considerVotes(ctx: Context, job: Job): void {
  const decision = countVotes(job);
  const { result } = job;
  if (!decision || !result || job.closedAt !== undefined) return;
  if (job.status === "queued" && decision.outcome === "accepted") accept(ctx, job, result);
  if (job.status === "queued" && decision.outcome === "rejected") reject(ctx, job, decision);
  if (job.status === "queued" || job.verifiers.some(({ state }) => state === "pending" || state === "claimed")) return;
  close(ctx, job, decision, result);
}

export type FailOptions = {
  status?: "failed" | "rejected";
  /** Nodes that had claimed and said nothing. */
  blamed?: Seat[];
};

/**
 * Ends a job that nobody can finish any more; the requester gets the money back.
 */
export function fail(ctx: Context, job: Job, reason: string, options: FailOptions = {}): void {
  job.status = options.status ?? "failed";
  job.reason = reason;
  job.closedAt = job.updatedAt = now(ctx);
  for (const seat of seats(job)) if (seat.state === "pending" || seat.state === "claimed") seat.state = "silent";
  refund(ctx.state, job);
  for (const seat of options.blamed ?? []) blame(ctx, job, seat);
  tell(ctx, job, { stage: job.status === "rejected" ? "rejected" : "failed", reason });
  void sendOwed(ctx, job);
}

/** Records that a node failed this job. */
export function blame(ctx: Context, job: Job, seat: Seat): void {
  const node = ctx.state.nodes.get(seat.address);
  if (node) node.tasksRejected++;
  owe(job, "recordFailure", seat);
}

/** Adds a transaction to those that the job waits for. */
function owe(job: Job, kind: ChainAction["kind"], seat: Pick<Seat, "address">, amount = 0n): void {
  job.actions.push({ kind, address: seat.address, amount, state: "waiting", tx: undefined });
}

function accept(ctx: Context, job: Job, result: LeaderResult): void {
  job.status = "accepted";
  tell(ctx, job, { stage: "accepted", commitment: result.commitment, outputCid: result.outputCid });
}

function reject(ctx: Context, job: Job, decision: Decision): void {
  job.status = "rejected";
  job.reason = `Quorum rejected: ${decision.confirmations} confirms vs ${decision.needed} required`;
  refund(ctx.state, job);
  tell(ctx, job, { stage: "rejected", reason: job.reason });
}

function close(ctx: Context, job: Job, decision: Decision, result: LeaderResult): void {
  job.closedAt = job.updatedAt = now(ctx);
  if (job.status === "accepted") settleAccepted(ctx, job, result);
  else if (decision.leaderIsOutlier) blame(ctx, job, job.leader);
  for (const { address } of seats(job)) {
    const node = ctx.state.nodes.get(address);
    if (node) node.tasksCompleted++;
  }
  void sendOwed(ctx, job);
}

function settleAccepted(ctx: Context, job: Job, result: LeaderResult): void {
  if (job.payment)
    for (const payout of payouts({
      amount: job.payment.amountBlind === 0n ? defaultReward : job.payment.amountBlind,
      commitment: result.commitment,
      leader: { address: job.leader.address, commitment: result.commitment },
      verifiers: job.verifiers.map(({ address, verdict }) => ({ address, vote: verdict })),
    }))
      owe(job, "reward", payout, payout.amount);
  praise(ctx, job, job.leader);
  for (const seat of job.verifiers) {
    if (!seat.verdict) continue;
    if (confirms(seat.verdict, result.commitment)) praise(ctx, job, seat);
    else blame(ctx, job, seat);
  }
}

function praise(ctx: Context, job: Job, seat: Seat): void {
  const node = ctx.state.nodes.get(seat.address);
  if (node) node.tasksAccepted++;
  owe(job, "resetFailures", seat);
}
