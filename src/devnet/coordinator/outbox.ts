import type { Address, Hash } from "viem";
import { BlfError, errorCode, isRetryable } from "../../lib/errors.ts";
import { type Context, tell } from "./context.ts";
import type { ChainAction, Job } from "./state.ts";

/** Jobs whose transactions are being sent right now. */
const sending = new WeakMap<Job, Promise<void>>();

/**
 * Sends what a closed job still owes, one transaction after the other. What fails for the moment is tried again at the
 * next call; the purpose of each transaction makes sure that nothing is paid twice. Never rejects.
 */
export function sendOwed(ctx: Context, job: Job): Promise<void> {
  const running = sending.get(job);
  if (running) return running;
  const run = sendAll(ctx, job).finally(() => sending.delete(job));
  sending.set(job, run);
  return run;
}

/** What was really paid for a job, in wei of BLIND by address. */
export function paidRewards(job: Job): Record<Address, bigint> {
  const rewards: Record<Address, bigint> = {};
  for (const { kind, state, address, amount } of job.actions)
    if (kind === "reward" && state === "done") rewards[address] = (rewards[address] ?? 0n) + amount;
  return rewards;
}

async function sendAll(ctx: Context, job: Job): Promise<void> {
  // Actions may be added while this runs, so the list is asked again each time.
  for (;;) {
    const action = job.actions.find(({ state }) => state === "waiting");
    if (!action) break;
    try {
      action.tx = await send(ctx, job, action);
      action.state = "done";
    } catch (error) {
      const fields = { jobId: job.taskId, address: action.address, code: errorCode(error), reason: action.kind };
      if (isRetryable(error)) return ctx.log.warn("a transaction is not sent yet and will be tried again", fields);
      action.state = "refused";
      ctx.log.error("a transaction was refused and will not be sent", fields);
    }
  }
  if (job.closedAt === undefined || job.settled) return;
  job.settled = true;
  if (job.status === "failed") return;
  tell(ctx, job, { stage: "settled", rewards: paidRewards(job) });
}

function send(ctx: Context, job: Job, action: ChainAction): Promise<Hash> {
  const { chain } = ctx;
  const { kind, address: node } = action;
  const purpose = `${kind}:${job.requestId}:${node}`;
  if (kind === "reward") return chain.payReward({ purpose, to: node, amount: action.amount });
  if (kind === "recordFailure") return chain.recordFailure({ purpose, node });
  if (kind === "resetFailures") return chain.resetFailures({ purpose, node });
  throw new BlfError({
    code: "DEVNET_UNKNOWN_ACTION",
    message: `The coordinator does not know the action ${String(kind)}`,
    hint: "This is a mistake in this program: please report it.",
  });
}
