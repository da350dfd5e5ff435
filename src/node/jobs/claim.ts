import { uniform } from "../../crypto/random.ts";
import type { Claim } from "../../icl/wire.ts";
import { deadlineSignal } from "../../lib/deadline.ts";
import { BlfError, errorCode } from "../../lib/errors.ts";
import { retry } from "../../lib/retry.ts";
import type { NodeContext } from "../context.ts";
import { millisecondsFact } from "../journal/facts.ts";
import type { JobRecord } from "../journal/job-record.ts";
import { learnClaimLife } from "../pace.ts";
import { mayPass } from "./job.ts";

/** Time kept free before the claim's deadline for the last request to arrive, in milliseconds. */
const marginMs = 2000;

const lastOffset = "coordinator-clock-offset";

/**
 * When work on a claim has to end, in milliseconds since the epoch by this machine's clock, whatever that is worth. Before the coordinator's
 * first answer the clock is taken to be as wrong as it was in the earlier run.
 * @param deadline of the claim, Unix seconds by the coordinator's clock
 */
export function endOfClaim(ctx: Pick<NodeContext, "icl" | "journal">, deadline: number): number {
  const offset = ctx.icl.clockOffset() ?? millisecondsFact(ctx.journal, lastOffset);
  return deadline * 1000 + offset - marginMs;
}

/** Keeps what was learned of the clock for the next start. */
function rememberOffset(ctx: NodeContext): void {
  const ms = ctx.icl.clockOffset() ?? 0;
  if (Math.abs(ms - millisecondsFact(ctx.journal, lastOffset)) < 2000) return;
  ctx.journal.setFact(lastOffset, String(ms));
  ctx.log.warn("this machine's clock differs from the coordinator's, whose deadlines count", { ms });
}

/**
 * So long after it was sent a claim may be in force although no answer came, in milliseconds (PROTOCOL.md 10). It is repeated until then, since
 * a claim without a result costs more than a slot that waits.
 */
const patienceMs = 300_000;

/** A coordinator that does not know the node is asked again for so many milliseconds, and so many times: the node attests anew meanwhile. */
const strangerMs = 12_000;
const strangerTimes = 4;

/**
 * Claims a job, or claims it again to go on with it: that is the same claim to the coordinator. The deadline stays that of the first answer.
 * @throws BlfError `DEADLINE_PASSED` when a claim of an earlier run is over, `CLAIM_UNANSWERED`, `CLAIM_WITHOUT_KEY`, `ICL_*`
 */
export async function claimJob(ctx: NodeContext, record: JobRecord, signal: AbortSignal): Promise<Claim> {
  const { claimDeadline } = record;
  const until = () => (claimDeadline === undefined ? record.createdAt + patienceMs : endOfClaim(ctx, claimDeadline));
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
  let strange = { count: 0, since: 0 };
  const isStranger = (error: unknown): boolean => {
    if (errorCode(error) !== "ICL_UNKNOWN") {
      strange = { count: 0, since: 0 };
      return false;
    }
    if (strange.count++ === 0) strange.since = ctx.clock.now();
    return strange.count < strangerTimes || ctx.clock.now() - strange.since < strangerMs;
  };
  return retry(() => ctx.icl.claim(taskId, signal), {
    clock: ctx.clock,
    attempts: Number.POSITIVE_INFINITY,
    // Within one second it would carry the same signature again, which a coordinator takes for a replay (PROTOCOL.md 18).
    initialMs: 1500,
    maxMs: 10_000,
    random: () => uniform(ctx.random),
    retryable: (error) => isStranger(error) || mayPass(error),
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
  rememberOffset(ctx);
  if (record.claimDeadline === undefined)
    learnClaimLife(ctx, claim.claimDeadline * 1000 + (ctx.icl.clockOffset() ?? 0) - ctx.clock.now());
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
