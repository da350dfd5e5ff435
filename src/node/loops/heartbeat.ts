import type { NodeContext } from "../context.ts";
import { startLoop } from "./loop.ts";

export const heartbeatPeriodMs = 60_000;

/** Tells the coordinator every minute that this node lives (PROTOCOL.md 4.9). No jitter: lateness costs reputation. */
export function startHeartbeatLoop(ctx: NodeContext, signal: AbortSignal) {
  return startLoop(ctx, { name: "heartbeat", periodMs: heartbeatPeriodMs, run: (s) => ctx.icl.heartbeat(s) }, signal);
}
