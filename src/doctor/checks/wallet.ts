import { formatEther } from "viem";
import { nodeRegistryAbi } from "../../chain/abi/node-registry.ts";
import { readBalance } from "../../chain/balance.ts";
import { chainError } from "../../chain/errors.ts";
import { isRegistered } from "../../chain/node-registry.ts";
import { readStake, type StakeStatus } from "../../chain/staking.ts";
import { errorCode } from "../../lib/errors.ts";
import { type Check, failed, info, notChecked, ok, warning } from "../check.ts";
import type { DoctorContext } from "../context.ts";

export const etherCheck: Check = {
  id: "balance-eth",
  title: "ETH for gas",
  needs: "node",
  async run(ctx) {
    const { config, chain } = ctx;
    const account = config.node_address;
    if (account === "") return [notChecked(this, "the configuration has no node_address")];
    const { unusable } = await ctx.rpc();
    if (unusable) return [notChecked(this, unusable)];
    if (config.blind_token_address === "") return [notChecked(this, "blind_token_address is not set")];
    const blind = config.blind_token_address;
    const balance = await unlessOther(
      readBalance({ chain, blind, registry: config.node_registry_address || undefined, account }),
    );
    if (!balance) return [notChecked(this, "the contracts do not answer as they should")];
    const remedy = `Send some ETH of this network to ${account}.`;
    const detail = `${formatEther(balance.ether)} ETH; a month of heartbeats costs ${formatEther(balance.monthCost)}`;
    if (balance.ether === 0n) return [failed(this, "the wallet has no ETH: it can send nothing", remedy)];
    if (balance.ether < balance.monthCost) return [warning(this, detail, remedy)];
    return [ok(this, detail)];
  },
};

export const blindCheck: Check = {
  id: "balance-blind",
  title: "BLIND in the wallet",
  needs: "node",
  async run(ctx) {
    const stake = await stakeOf(ctx);
    if (typeof stake === "string") return [notChecked(this, stake)];
    return [info(this, `${formatEther(stake.balance)} BLIND`)];
  },
};

export const stakeCheck: Check = {
  id: "stake",
  title: "stake",
  needs: "node",
  async run(ctx) {
    const stake = await stakeOf(ctx);
    if (typeof stake === "string") return [notChecked(this, stake)];
    if (stake.active) return [ok(this, `${formatEther(stake.staked)} BLIND`)];
    const minimum = formatEther(stake.minStake);
    const remedy =
      stake.balance < stake.minStake
        ? `Send at least ${minimum} BLIND to ${ctx.config.node_address}, then run \`blindference staking stake ${minimum}\`.`
        : `Run \`blindference staking stake ${minimum}\`.`;
    const unbonding = stake.unbonding > 0n ? `, ${formatEther(stake.unbonding)} BLIND are unbonding` : "";
    return [
      failed(
        this,
        `${formatEther(stake.staked)} BLIND, which is not active${unbonding}: this node gets no jobs`,
        remedy,
      ),
    ];
  },
};

export const failuresCheck: Check = {
  id: "failures",
  title: "failures in a row",
  needs: "node",
  async run(ctx) {
    const stake = await stakeOf(ctx);
    if (typeof stake === "string") return [notChecked(this, stake)];
    const { consecutiveFailures: count, maxConsecutiveFailures: most } = stake;
    const detail = `${count} of ${most} before the stake is slashed`;
    if (count === 0) return [ok(this, "none")];
    const remedy = "Find the reason in the node's log before the next one; one accepted job sets the count back.";
    return [count + 1 >= most ? failed(this, detail, remedy) : warning(this, detail, remedy)];
  },
};

export const registrationCheck: Check = {
  id: "registration",
  title: "registration on chain",
  needs: "node",
  async run(ctx) {
    const { config, chain } = ctx;
    const { unusable } = await ctx.rpc();
    if (unusable) return [notChecked(this, unusable)];
    const registry = config.node_registry_address;
    const node = config.node_address;
    if (registry === "" || node === "") return [notChecked(this, "the address of registry or node is not set")];
    const call = { address: registry, abi: nodeRegistryAbi, functionName: "isActive", args: [node] } as const;
    const answers = await unlessOther(
      Promise.all([
        isRegistered(chain, registry, node),
        chain.client.readContract(call).catch((error: unknown) => {
          throw chainError(error, "read the node's registration");
        }),
      ]),
    );
    if (!answers) return [notChecked(this, "the contract does not answer as it should")];
    const [registered, active] = answers;
    if (!registered) return [warning(this, "not in the NodeRegistry", "Run `blindference attest --register`.")];
    if (active) return [ok(this, "registered and active")];
    return [
      warning(
        this,
        "registered, but the last on-chain heartbeat is too long ago",
        "Run the node: it sends one every ten days, with enough ETH for gas.",
      ),
    ];
  },
};

/** The stake, or why it cannot be read. */
async function stakeOf(ctx: DoctorContext): Promise<StakeStatus | string> {
  const { staking_address: staking, blind_token_address: blind, node_address: node } = ctx.config;
  const { unusable } = await ctx.rpc();
  if (unusable) return unusable;
  if (staking === "" || blind === "" || node === "") return "the address of stake, BLIND or node is not set";
  return (
    (await unlessOther(readStake(ctx.chain, { staking, blind }, node))) ?? "the contracts do not answer as they should"
  );
}

/** What was read, or undefined when another contract than expected answers, which has a finding of its own. */
async function unlessOther<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (["CHAIN_REFUSED", "CHAIN_REVERTED"].includes(errorCode(error))) return undefined;
    throw error;
  }
}
