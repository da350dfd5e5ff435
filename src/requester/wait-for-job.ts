import type { Address } from "viem";
import type { PaymentJob } from "../icl/requester.ts";
import { BlfError, isRetryable } from "../lib/errors.ts";
import { printable } from "../lib/printable.ts";
import type { RequesterContext } from "./context.ts";

/** PROTOCOL.md 10: clients poll every 3 s, 120 times; here the first polls come sooner. */
const pollMs = { initial: 250, max: 3000, total: 360_000 };

export type FinishedJob = { outputCid: string; commitment: string; leader: Address; verifiers: Address[] };

/** @throws BlfError `JOB_REJECTED`, `JOB_FAILED`, `JOB_UNFINISHED`, `JOB_INCOMPLETE` */
export async function waitForJob(
  ctx: Pick<RequesterContext, "client" | "clock">,
  jobId: string,
  signal: AbortSignal,
): Promise<FinishedJob> {
  const giveUpAt = ctx.clock.now() + pollMs.total;
  for (let delay = pollMs.initial; ctx.clock.now() < giveUpAt; delay = Math.min(delay * 1.3, pollMs.max)) {
    const job = await ctx.client.job(jobId, signal).catch((error: unknown) => {
      if (isRetryable(error)) return undefined;
      throw error;
    });
    if (job?.status === "COMPLETED") return finishedJob(job);
    if (job?.status === "FAILED" || job?.status === "REFUNDED") throw failedJob(job);
    await ctx.clock.sleep(delay, signal);
  }
  throw new BlfError({
    code: "JOB_UNFINISHED",
    message: `The job ${jobId} was not finished within ${pollMs.total / 60_000} minutes`,
    hint: "The network refunds jobs that it does not finish. Ask again later.",
    retryable: true,
  });
}

function finishedJob(job: PaymentJob): FinishedJob {
  const { output_cid, result_hash, leader_address, verifier_addresses } = job;
  if (output_cid && result_hash && leader_address && verifier_addresses)
    return {
      outputCid: output_cid,
      commitment: result_hash,
      leader: leader_address,
      verifiers: verifier_addresses,
    };
  throw new BlfError({
    code: "JOB_INCOMPLETE",
    message: "The payment service calls the job completed but gives no output",
    hint: "Report this to the network; the answer cannot be fetched.",
  });
}

function failedJob(job: PaymentJob): BlfError {
  const reason = job.error_reason ? `: ${printable(job.error_reason).slice(0, 200)}` : "";
  return new BlfError({
    code: job.status === "REFUNDED" ? "JOB_REJECTED" : "JOB_FAILED",
    message: `The network gave no answer${reason}`,
    hint: "Your credits were given back. Ask again, or choose another model.",
  });
}
