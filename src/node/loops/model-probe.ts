import type { NodeContext } from "../context.ts";
import { startLoop } from "./loop.ts";

/** Looks after backends that failed several times in a row: nothing else would ever use them again. */
export function startModelProbeLoop(ctx: NodeContext, signal: AbortSignal) {
  const run = (s: AbortSignal) => ctx.inference.probe(s);
  return startLoop(ctx, { name: "model-probe", periodMs: 60_000, jitter: 0.2, run }, signal);
}
