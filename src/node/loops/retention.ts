import type { NodeContext } from "../context.ts";
import { startLoop } from "./loop.ts";

const dayMs = 86_400_000;

/** Forgets jobs that ended long ago, once a day, so that the journal does not grow for ever. Commitments stay (src/node/journal). */
export function startRetentionLoop(ctx: NodeContext, signal: AbortSignal) {
  const { config, journal, clock, log } = ctx;
  const run = async () => {
    if (config.journal_retention_days === 0) return;
    const count = journal.prune(clock.now() - config.journal_retention_days * dayMs);
    if (count > 0) log.info("forgot jobs that ended long ago", { count });
  };
  return startLoop(ctx, { name: "retention", periodMs: dayMs, run }, signal);
}
