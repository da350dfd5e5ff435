import { assertChainId } from "../chain/clients.ts";
import { errorCode } from "../lib/errors.ts";
import type { NodeContext } from "./context.ts";

/** A start does not wait for the RPC any longer, in milliseconds. */
export const chainPatienceMs = 5000;

/**
 * A wrong chain is an error; an RPC that is down or silent is not, since it may come back.
 * @throws BlfError `CHAIN_WRONG_ID`
 */
export async function checkChain(ctx: Pick<NodeContext, "chain" | "clock" | "log">): Promise<void> {
  const answered = new AbortController();
  const check = assertChainId(ctx.chain).catch((error: unknown) => {
    if (errorCode(error) === "CHAIN_WRONG_ID") throw error;
    ctx.log.warn("the RPC cannot be reached yet", { code: errorCode(error) });
  });
  const patience = ctx.clock.sleep(chainPatienceMs, answered.signal).then(() => {
    check.catch((error: unknown) => ctx.log.error("the RPC serves another chain", { code: errorCode(error) }));
    ctx.log.warn("the RPC does not answer yet; the node starts without having checked its chain", {
      ms: chainPatienceMs,
    });
  });
  patience.catch(() => {});
  try {
    await Promise.race([check, patience]);
  } finally {
    answered.abort();
  }
}
