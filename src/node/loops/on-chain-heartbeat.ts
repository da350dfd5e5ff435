import { readLastHeartbeat, sendOnChainHeartbeat } from "../../chain/node-registry.ts";
import type { NodeContext } from "../context.ts";
import { millisecondsFact } from "../journal/facts.ts";
import { startLoop } from "./loop.ts";

/** The contract's grace is 11 days (PROTOCOL.md 10). */
export const onChainHeartbeatPeriodMs = 10 * 24 * 3_600_000;
const lookEveryMs = 3_600_000;
const lastHeartbeat = "last-on-chain-heartbeat";

/** Sends `NodeRegistry.heartbeat` every ten days. The last one is remembered, so restarts cost no gas. */
export function startOnChainHeartbeatLoop(ctx: NodeContext, signal: AbortSignal) {
  const run = async (s: AbortSignal) => {
    const registry = ctx.config.node_registry_address;
    if (!ctx.config.registered_on_chain || registry === "") return;
    const now = ctx.clock.now();
    const remembered = millisecondsFact(ctx.journal, lastHeartbeat);
    // Before the first one the chain knows better: the registration may be days older than this journal.
    const last = remembered || (await readLastHeartbeat(ctx.chain, registry, ctx.wallet.address));
    if (last === 0 || now - last < onChainHeartbeatPeriodMs) return;
    const day = Math.floor(now / 86_400_000);
    const tx = await sendOnChainHeartbeat(ctx.sender, registry, day, s);
    ctx.journal.setFact(lastHeartbeat, String(now));
    ctx.log.info("on-chain heartbeat sent", { tx });
  };
  return startLoop(ctx, { name: "on-chain-heartbeat", periodMs: lookEveryMs, run }, signal);
}
