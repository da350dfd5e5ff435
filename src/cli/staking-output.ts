import { formatEther } from "viem";
import * as z from "zod";
import type { StakeStatus } from "../chain/staking.ts";
import { formatSeconds, formatTime } from "./ui/format.ts";

const wei = z.string().regex(/^\d+$/);
const hash = z.string().regex(/^0x[0-9a-f]{64}$/);

const stakeShape = {
  /** Wei of BLIND. */
  stakedWei: wei,
  unbondingWei: wei,
  /** When what is unbonding can be withdrawn; null when nothing is. */
  withdrawableAt: z.iso.datetime().nullable(),
  /** How long that takes from now; 0 when it is over. */
  secondsLeft: z.int().min(0).nullable(),
  active: z.boolean(),
  consecutiveFailures: z.int(),
  maxConsecutiveFailures: z.int(),
  /** How many more failures in a row cost the whole stake. */
  failuresUntilSlash: z.int(),
  minStakeWei: wei,
  balanceWei: wei,
};

const transactionShape = {
  tx: hash,
  /** The transaction in the network's explorer, if it has one. */
  link: z.string().nullable(),
  /** Whether an earlier run of the same command had sent it, and this one only waited for it. */
  resumed: z.boolean(),
};

/** The JSON document of each command. */
export const outputs: Record<string, z.ZodType> = {
  "staking stake": z.strictObject({
    ok: z.literal(true),
    amountWei: wei,
    approveTx: hash.nullable(),
    ...transactionShape,
    ...stakeShape,
  }),
  "staking unstake": z.strictObject({ ok: z.literal(true), amountWei: wei, ...transactionShape, ...stakeShape }),
  "staking withdraw": z.strictObject({ ok: z.literal(true), ...transactionShape, ...stakeShape }),
  "staking status": z.strictObject({ ok: z.literal(true), address: z.string(), ...stakeShape }),
};

/** @param now Unix seconds */
export function stakeJson(status: StakeStatus, now: number) {
  const isUnbonding = status.unbonding > 0n;
  return {
    stakedWei: status.staked,
    unbondingWei: status.unbonding,
    withdrawableAt: isUnbonding ? formatTime(status.unbondingAvailableAt) : null,
    secondsLeft: isUnbonding ? Math.max(0, status.unbondingAvailableAt - now) : null,
    active: status.active,
    consecutiveFailures: status.consecutiveFailures,
    maxConsecutiveFailures: status.maxConsecutiveFailures,
    failuresUntilSlash: status.maxConsecutiveFailures - status.consecutiveFailures,
    minStakeWei: status.minStake,
    balanceWei: status.balance,
  };
}

/** @param now Unix seconds */
export function stakeRows(status: StakeStatus, now: number): [string, string][] {
  return [
    ["staked", `${formatEther(status.staked)} BLIND`],
    ["unbonding", describeUnbonding(status, now)],
    ["active", describeActive(status)],
    ["failures", describeFailures(status)],
    ["wallet", `${formatEther(status.balance)} BLIND`],
  ];
}

function describeUnbonding(status: StakeStatus, now: number): string {
  if (status.unbonding === 0n) return "nothing";
  const amount = `${formatEther(status.unbonding)} BLIND`;
  const left = status.unbondingAvailableAt - now;
  if (left <= 0) return `${amount}, free: blindference staking withdraw`;
  return `${amount}, free in ${formatSeconds(left)} (${formatTime(status.unbondingAvailableAt)})`;
}

function describeActive(status: StakeStatus): string {
  if (status.active) return "yes";
  return `no: stake at least ${formatEther(status.minStake)} BLIND`;
}

function describeFailures(status: StakeStatus): string {
  const { consecutiveFailures: failures, maxConsecutiveFailures: limit } = status;
  const left = limit - failures;
  if (failures === 0) return `none in a row; ${limit} would cost the whole stake`;
  return `${failures} in a row; ${left} more ${left === 1 ? "costs" : "cost"} the whole stake, an accepted job clears them`;
}
