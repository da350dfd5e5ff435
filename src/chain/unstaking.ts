import { formatEther, type Hex } from "viem";
import { BlfError } from "../lib/errors.ts";
import { stakingAbi } from "./abi/staking.ts";
import { contractCall } from "./contract-call.ts";
import type { Sender } from "./sender.ts";
import type { StakeStatus, StakingContracts } from "./staking.ts";

/** From the beginning of an unstake to its withdrawal, in seconds (PROTOCOL.md 10). */
export const unbondingSeconds = 96 * 3600;

/** Whether unstaking can be begun now. @throws BlfError `STAKE_ALREADY_UNBONDING`, `STAKE_NOTHING_STAKED` */
export function assertUnstakeable(status: StakeStatus): void {
  if (status.staked > 0n) return;
  if (status.unbonding > 0n)
    throw new BlfError({
      code: "STAKE_ALREADY_UNBONDING",
      message: `The whole stake of ${formatEther(status.unbonding)} BLIND is being unstaked already, and is free at ${iso(status)}`,
      hint: "Run `blindference staking withdraw` then; `blindference staking status` shows how long it takes.",
    });
  throw nothingStaked("There is no stake to take out");
}

/**
 * Whether the unbonding is over.
 * @param now Unix seconds
 * @throws BlfError `STAKE_STILL_UNBONDING`, `STAKE_NOT_UNBONDING`, `STAKE_NOTHING_STAKED`
 */
export function assertWithdrawable(status: StakeStatus, now: number, words: (seconds: number) => string): void {
  if (status.unbonding > 0n && now >= status.unbondingAvailableAt) return;
  if (status.unbonding > 0n)
    throw new BlfError({
      code: "STAKE_STILL_UNBONDING",
      message: `The ${formatEther(status.unbonding)} BLIND are free in ${words(status.unbondingAvailableAt - now)}, at ${iso(status)}`,
      hint: "Run the same command then. Nothing was sent and no gas was spent.",
    });
  if (status.staked > 0n)
    throw new BlfError({
      code: "STAKE_NOT_UNBONDING",
      message: `The ${formatEther(status.staked)} BLIND are staked: taking them out has to be begun first`,
      hint: "Run `blindference staking unstake`, and withdraw 96 hours later.",
    });
  throw nothingStaked("There is nothing to withdraw");
}

/** `initiateUnstake`: the whole stake begins to unbond (PROTOCOL.md 14). `id` names the act. @returns the transaction's hash */
export function unstake(sender: Sender, contracts: StakingContracts, id: string, signal?: AbortSignal): Promise<Hex> {
  return send(sender, contracts, { name: "initiateUnstake", purpose: `unstake:${id}`, action: "unstake" }, signal);
}

/** `completeUnstake`: what has unbonded comes back to the wallet. `id` names the act. @returns the transaction's hash */
export function withdraw(sender: Sender, contracts: StakingContracts, id: string, signal?: AbortSignal): Promise<Hex> {
  const request = { name: "completeUnstake", purpose: `withdraw:${id}`, action: "withdraw the stake" } as const;
  return send(sender, contracts, request, signal);
}

async function send(
  sender: Sender,
  contracts: StakingContracts,
  request: { name: "initiateUnstake" | "completeUnstake"; purpose: string; action: string },
  signal?: AbortSignal,
): Promise<Hex> {
  const { name, purpose, action } = request;
  const call = contractCall({ address: contracts.staking, abi: stakingAbi, functionName: name, args: [] });
  return (await sender.send({ purpose, action, call }, signal)).transactionHash;
}

function nothingStaked(message: string): BlfError {
  return new BlfError({
    code: "STAKE_NOTHING_STAKED",
    message,
    hint: "`blindference staking stake 1000` stakes; `blindference staking status` shows what is staked.",
  });
}

function iso(status: StakeStatus): string {
  return new Date(status.unbondingAvailableAt * 1000).toISOString();
}
