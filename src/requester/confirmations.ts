import type { Hex } from "viem";
import { BlfError } from "../lib/errors.ts";
import { retry } from "../lib/retry.ts";
import type { RequesterContext } from "./context.ts";

/** The job is paid for by now, so a coordinator that is away for a moment is waited for. */
const tries = { attempts: 6, initialMs: 500, maxMs: 5000 };

/** Equal commitments that a quorum of `nodes` needs, the leader's included (PROTOCOL.md 12). */
export function confirmationsNeeded(nodes: number): number {
  return Math.floor((2 * nodes + 2) / 3);
}

/**
 * Makes sure that enough nodes stand behind an answer. The payment service says only that a job is completed; how many confirmed it, the
 * coordinator says (PROTOCOL.md 5.6). One that does not say it counts as none.
 * @returns the commitment that they confirmed, if the coordinator shows it
 * @throws BlfError `ANSWER_UNCONFIRMED`, `ICL_*`
 */
export async function assertConfirmed(
  ctx: Pick<RequesterContext, "client" | "clock">,
  job: { taskId: Hex; verifierCount: number },
  signal: AbortSignal,
): Promise<string | undefined> {
  const { quorum, commitment_hash: commitment } = await retry(() => ctx.client.inference(job.taskId, signal), {
    ...tries,
    clock: ctx.clock,
    signal,
  });
  const nodes = 1 + job.verifierCount;
  const needed = confirmationsNeeded(nodes);
  const confirmations = quorum?.confirmations ?? 0;
  if (confirmations >= needed) return commitment || undefined;
  throw new BlfError({
    code: "ANSWER_UNCONFIRMED",
    message: `This answer has too few confirmations: ${confirmations} of the ${needed} that a quorum of ${nodes} needs`,
    hint: "Do not trust this answer; dispute the job.",
  });
}
