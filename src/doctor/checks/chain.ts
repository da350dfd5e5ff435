import { chainError } from "../../chain/errors.ts";
import { type Check, failed, notChecked, ok, warning } from "../check.ts";

/** The devnet and anvil make a block only for a transaction, so their newest block may be old. */
const quietChains = new Set([31_337]);

const largestSkewSeconds = 60;

export const rpcCheck: Check = {
  id: "rpc",
  title: "RPC",
  needs: "config",
  async run(ctx) {
    const { answered, silent } = await ctx.rpc();
    const remedy = "Check the network, and `blindference config get rpc_url`.";
    if (answered.length === 0) return [failed(this, `no answer from ${silent.join(", ")}`, remedy)];
    if (silent.length > 0)
      return [warning(this, `${silent.join(", ")} of rpc_url and rpc_fallback_urls does not answer`, remedy)];
    return [ok(this, answered.map(({ origin }) => origin).join(", "))];
  },
};

export const chainIdCheck: Check = {
  id: "chain-id",
  title: "chain id",
  needs: "config",
  async run(ctx) {
    const { answered } = await ctx.rpc();
    if (answered.length === 0) return [notChecked(this, "the RPC does not answer")];
    const expected = ctx.chain.chainId;
    const wrong = answered.find(({ chainId }) => chainId !== expected);
    if (!wrong) return [ok(this, String(expected))];
    const remedy = "Set rpc_url to an endpoint of the right chain, or network and cofhe_chain_id to match it.";
    return [failed(this, `${wrong.origin} serves chain ${wrong.chainId}, not ${expected}`, remedy)];
  },
};

export const chainClockCheck: Check = {
  id: "chain-clock",
  title: "clock against the chain",
  needs: "config",
  async run(ctx) {
    const { unusable } = await ctx.rpc();
    if (unusable) return [notChecked(this, unusable)];
    const block = await ctx.chain.client.getBlock({ blockTag: "latest" }).catch((error: unknown) => {
      throw chainError(error, "read the newest block");
    });
    const ahead = Number(block.timestamp) - ctx.clock.now() / 1000;
    const seconds = Math.round(Math.abs(ahead));
    if (ahead > largestSkewSeconds)
      return [
        failed(
          this,
          `the newest block is ${seconds} s ahead of this machine`,
          "Set this machine's clock: timedatectl set-ntp true",
        ),
      ];
    if (-ahead > largestSkewSeconds && !quietChains.has(ctx.chain.chainId))
      return [
        failed(
          this,
          `the newest block is ${seconds} s old`,
          "Set this machine's clock (timedatectl set-ntp true), or use an RPC that keeps up.",
        ),
      ];
    return [ok(this, ahead > 0 || seconds < 2 ? "in step" : `the newest block is ${seconds} s old`)];
  },
};
