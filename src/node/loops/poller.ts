import { errorCode } from "../../lib/errors.ts";
import type { CertificateKeeper } from "../certificate.ts";
import type { NodeContext } from "../context.ts";
import type { Scheduler } from "../scheduler.ts";
import { startLoop } from "./loop.ts";

export const pollPeriodMs = 5000;

/** Asks for assignments, and attests again when the coordinator does not know this node (PROTOCOL.md 3). */
export function startPollLoop(
  ctx: NodeContext,
  certificate: CertificateKeeper,
  scheduler: Scheduler,
  signal: AbortSignal,
) {
  const run = async (s: AbortSignal) => {
    if (!scheduler.hasRoom()) return;
    const assignments = await ctx.icl.assignments(s).catch(async (error: unknown) => {
      if (errorCode(error) !== "ICL_UNKNOWN") throw error;
      ctx.log.warn("the coordinator does not know this node, attesting again");
      await certificate.ensure(s, true);
      return ctx.icl.assignments(s);
    });
    scheduler.offer(assignments);
  };
  return startLoop(ctx, { name: "poll", periodMs: pollPeriodMs, jitter: 0.1, run }, signal);
}
