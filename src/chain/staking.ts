import { type Address, formatEther, type Hex } from "viem";
import { BlfError } from "../lib/errors.ts";
import { blindAbi } from "./abi/blind.ts";
import { stakingAbi } from "./abi/staking.ts";
import type { Chain } from "./clients.ts";
import { contractCall } from "./contract-call.ts";
import { chainError } from "./errors.ts";
import type { Sender } from "./sender.ts";
import { unixTime } from "./unix-time.ts";

export type StakingContracts = { staking: Address; blind: Address };

/** All amounts in wei of BLIND. */
export type StakeStatus = {
  staked: bigint;
  unbonding: bigint;
  /** Unix seconds; 0 when nothing is unbonding. */
  unbondingAvailableAt: number;
  consecutiveFailures: number;
  maxConsecutiveFailures: number;
  minStake: bigint;
  active: boolean;
  balance: bigint;
  allowance: bigint;
};

/** Everything about a node's stake in one round trip. */
export async function readStake(chain: Chain, contracts: StakingContracts, node: Address): Promise<StakeStatus> {
  const staking = { address: contracts.staking, abi: stakingAbi } as const;
  const blind = { address: contracts.blind, abi: blindAbi } as const;
  try {
    const [info, minStake, maxFailures, balance, allowance] = await Promise.all([
      chain.client.readContract({ ...staking, functionName: "getStakeInfo", args: [node] }),
      chain.client.readContract({ ...staking, functionName: "MIN_STAKE" }),
      chain.client.readContract({ ...staking, functionName: "MAX_CONSECUTIVE_FAILURES" }),
      chain.client.readContract({ ...blind, functionName: "balanceOf", args: [node] }),
      chain.client.readContract({ ...blind, functionName: "allowance", args: [node, contracts.staking] }),
    ]);
    return {
      staked: info.staked,
      unbonding: info.unbonding,
      unbondingAvailableAt: unixTime(info.unbondingAvailableAt),
      consecutiveFailures: Number(info.consecutiveFailures),
      maxConsecutiveFailures: Number(maxFailures),
      minStake,
      active: info.active,
      balance,
      allowance,
    };
  } catch (error) {
    throw chainError(error, "read the stake");
  }
}

/** The time of the newest block, in Unix seconds: what the contracts go by. */
export async function readChainTime(chain: Chain): Promise<number> {
  try {
    const { timestamp } = await chain.client.getBlock({ blockTag: "latest" });
    // An RPC may leave out anything, whatever the types say.
    if (typeof timestamp !== "bigint") throw new TypeError("a block without its time");
    return unixTime(timestamp);
  } catch (error) {
    throw chainError(error, "read the newest block");
  }
}

/** @throws BlfError `STAKE_BELOW_MINIMUM`, `STAKE_ABOVE_BALANCE` */
export function assertStakeable(status: StakeStatus, amount: bigint): void {
  if (amount < status.minStake)
    throw new BlfError({
      code: "STAKE_BELOW_MINIMUM",
      message: `A stake of ${formatEther(amount)} BLIND is below the minimum of ${formatEther(status.minStake)} per call`,
      hint: `Stake at least ${formatEther(status.minStake)} BLIND at once; it counts per call, not in sum.`,
    });
  if (amount > status.balance)
    throw new BlfError({
      code: "STAKE_ABOVE_BALANCE",
      message: `The wallet holds ${formatEther(status.balance)} BLIND, less than ${formatEther(amount)}`,
      hint: "Send BLIND to the node's address first, or stake less.",
    });
}

/**
 * Approves exactly `amount` where needed and stakes it.
 * @param amount wei of BLIND
 * @param id makes the purposes unique: one stake command, one id
 * @throws BlfError `STAKE_BELOW_MINIMUM`, `STAKE_ABOVE_BALANCE`, `CHAIN_*`
 */
export async function stake(
  sender: Sender,
  contracts: StakingContracts,
  status: StakeStatus,
  amount: bigint,
  id: string,
  signal?: AbortSignal,
): Promise<{ approveTx: Hex | undefined; stakeTx: Hex }> {
  assertStakeable(status, amount);
  let approveTx: Hex | undefined;
  if (status.allowance < amount) {
    const approve = contractCall({
      address: contracts.blind,
      abi: blindAbi,
      functionName: "approve",
      args: [contracts.staking, amount],
    });
    const request = { purpose: `approve:${id}`, action: "approve the stake", call: approve };
    approveTx = (await sender.send(request, signal)).transactionHash;
  }
  return { approveTx, stakeTx: await sendStake(sender, contracts, amount, id, signal) };
}

/** What `stake` signs last for an id. */
export function stakePurpose(id: string): string {
  return `stake:${id}`;
}

/** The stake alone, for an id whose approval is done. */
export async function sendStake(
  sender: Sender,
  contracts: StakingContracts,
  amount: bigint,
  id: string,
  signal?: AbortSignal,
): Promise<Hex> {
  const call = contractCall({ address: contracts.staking, abi: stakingAbi, functionName: "stake", args: [amount] });
  const receipt = await sender.send({ purpose: stakePurpose(id), action: "stake BLIND", call }, signal);
  return receipt.transactionHash;
}
