import type { NodeContext } from "../context.ts";
import { announce } from "../own-activity.ts";
import { startLoop } from "./loop.ts";

export const heartbeatPeriodMs = 60_000;

/** Tells the coordinator every minute that this node lives (PROTOCOL.md 4.9). No jitter: lateness costs reputation. */
export function startHeartbeatLoop(ctx: NodeContext, signal: AbortSignal) {
  return startLoop(ctx, { name: "heartbeat", periodMs: heartbeatPeriodMs, run: (s) => beat(ctx, s) }, signal);
}

/** One heartbeat. It is written down first, so that the next start of this installation knows it for its own. */
export async function beat(ctx: NodeContext, signal: AbortSignal): Promise<void> {
  announce(ctx);
  await ctx.icl.heartbeat(signal);
}
