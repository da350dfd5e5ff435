import type { CertificateKeeper } from "../certificate.ts";
import type { NodeContext } from "../context.ts";
import { startLoop } from "./loop.ts";

export const watchdogPeriodMs = 600_000;

/**
 * Renews the certificate in time. A coordinator that has lost this node never says so (PROTOCOL.md 4.3), so the node also looks for itself
 * among the active ones.
 */
export function startWatchdogLoop(ctx: NodeContext, certificate: CertificateKeeper, signal: AbortSignal) {
  const run = async (s: AbortSignal) => {
    await certificate.ensure(s);
    if (await ctx.icl.listsThisNode(s)) return;
    ctx.log.warn("the coordinator does not list this node, attesting again");
    await certificate.ensure(s, true);
  };
  return startLoop(ctx, { name: "watchdog", periodMs: watchdogPeriodMs, jitter: 0.1, run }, signal);
}
