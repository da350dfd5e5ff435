import { uniform } from "../../crypto/random.ts";
import type { Claim } from "../../icl/wire.ts";
import { deadlineSignal } from "../../lib/deadline.ts";
import { BlfError, errorCode } from "../../lib/errors.ts";
import { retry } from "../../lib/retry.ts";
import type { NodeContext } from "../context.ts";
import type { JobRecord } from "../journal/job-record.ts";
import { mayPass } from "./job.ts";

/** Time kept free before the claim's deadline for the last request to arrive, in milliseconds. */
export const marginMs = 2000;

/**
 * So long after it was sent a claim may be in force although no answer came, in milliseconds (PROTOCOL.md 10). It is repeated until then, since
 * a claim without a result costs more than a slot that waits.
 */
const patienceMs = 300_000;

/** So long a coordinator that does not know the node is asked again, in milliseconds: the node attests anew meanwhile. */
const strangerMs = 12_000;

/**
 * Claims a job, or claims it again to go on with it: that is the same claim to the coordinator. The deadline stays that of the first answer.
 * @throws BlfError `DEADLINE_PASSED` when a claim of an earlier run is over, `CLAIM_UNANSWERED`, `CLAIM_WITHOUT_KEY`, `ICL_*`
 */
export async function claimJob(ctx: NodeContext, record: JobRecord, signal: AbortSignal): Promise<Claim> {
  const { claimDeadline } = record;
  const until = claimDeadline === undefined ? record.createdAt + patienceMs : claimDeadline * 1000 - marginMs;
  const limit = deadlineSignal(ctx.clock, until, signal);
  try {
    const claim = await send(ctx, record.taskId, limit.signal);
    return accept(ctx, record, claim);
  } catch (error) {
    if (limit.signal.aborted && !signal.aborted && claimDeadline === undefined) throw unanswered();
    throw error;
  } finally {
    limit.clear();
  }
}

function send(ctx: NodeContext, taskId: string, signal: AbortSignal): Promise<Claim> {
  signal.throwIfAborted();
  let strangerSince: number | undefined;
  const isStranger = (error: unknown): boolean => {
    if (errorCode(error) !== "ICL_UNKNOWN") return false;
    strangerSince ??= ctx.clock.now();
    return ctx.clock.now() - strangerSince < strangerMs;
  };
  return retry(() => ctx.icl.claim(taskId, signal), {
    clock: ctx.clock,
    attempts: Number.POSITIVE_INFINITY,
    // Within one second it would carry the same signature again, which a coordinator takes for a replay (PROTOCOL.md 18).
    initialMs: 1500,
    maxMs: 10_000,
    random: () => uniform(ctx.random),
    retryable: (error) => mayPass(error) || isStranger(error),
    signal,
  });
}

function accept(ctx: NodeContext, record: JobRecord, claim: Claim): Claim {
  const claimDeadline = Math.min(record.claimDeadline ?? claim.claimDeadline, claim.claimDeadline);
  if (claim.kpHighHandle === 0n || claim.kpLowHandle === 0n)
    throw new BlfError({
      code: "CLAIM_WITHOUT_KEY",
      message: "The coordinator gave no handle of the prompt's key",
      hint: "The requester has not stored the key for this node: nothing to do here.",
    });
  if (record.state === "assigned") {
    ctx.journal.advance(record, "claimed", { claimDeadline }, { durable: true });
    record.state = "claimed";
  }
  return { ...claim, claimDeadline };
}

function unanswered(): BlfError {
  return new BlfError({
    code: "CLAIM_UNANSWERED",
    message: `The coordinator answered no claim for ${patienceMs / 1000} s`,
    hint: "Check icl_endpoint (BLF_ICL_ENDPOINT) and the network.",
  });
}
