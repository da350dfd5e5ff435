import { type Address, BaseError, ContractFunctionRevertedError, type Hex } from "viem";
import { rewardAccumulatorAbi } from "./abi/reward-accumulator.ts";
import { contractCall } from "./contract-call.ts";
import { chainError } from "./errors.ts";
import { findRewardEvents, type RewardEvent, type RewardEventsParameters } from "./reward-events.ts";
import type { Sender } from "./sender.ts";

/** Why a cycle is not paid: the error of the contract's gate, or what else it says. */
export type RewardGate =
  | "CycleNotEnded"
  | "AccuracyFailed"
  | "WorkProportionFailed"
  | "ValidationProportionFailed"
  | "NoPendingItems"
  | "AlreadyReleased"
  | "Refused";

/** One cycle in which a node earned. Amounts in wei of BLIND. */
export type RewardCycle = {
  cycle: bigint;
  state: "pending" | "released" | "forfeited";
  /** What waits to be released. */
  pending: bigint;
  /** What was accrued in all. */
  accrued: bigint;
  items: number;
  /** Jobs led and jobs verified in this cycle, by the contract's own count. */
  work: number;
  validations: number;
  /** What keeps the pending amount from being paid now; undefined when nothing does. */
  gate: RewardGate | undefined;
  /** The transaction that paid it. */
  releaseTx: Hex | undefined;
};

export type Rewards = {
  /** The newest cycle first. */
  cycles: RewardCycle[];
  fromBlock: bigint;
  isComplete: boolean;
};

/**
 * Every cycle in which the node earned, and whether it can be claimed now. The gates are tried by simulating the claim; nothing is sent.
 * @throws BlfError `CHAIN_*`
 */
export async function readRewards(parameters: RewardEventsParameters): Promise<Rewards> {
  const { events, fromBlock, isComplete } = await findRewardEvents(parameters);
  const byCycle = Map.groupBy(events, ({ cycle }) => cycle);
  const cycles = await Promise.all([...byCycle].map(([cycle, own]) => readCycle(parameters, cycle, own)));
  return { cycles: cycles.sort((a, b) => (a.cycle < b.cycle ? 1 : -1)), fromBlock, isComplete };
}

/** One cycle by its number, whatever events say of it. @throws BlfError `CHAIN_*` */
export async function readCycle(
  parameters: Pick<RewardEventsParameters, "chain" | "accumulator" | "node">,
  cycle: bigint,
  events: RewardEvent[] = [],
): Promise<RewardCycle> {
  const { chain, accumulator, node } = parameters;
  const contract = { address: accumulator, abi: rewardAccumulatorAbi, args: [node, cycle] } as const;
  const read = () =>
    Promise.all([
      chain.client.readContract({ ...contract, functionName: "pendingTotal" }),
      chain.client.readContract({ ...contract, functionName: "pendingItems" }),
      chain.client.readContract({ ...contract, functionName: "workCount" }),
      chain.client.readContract({ ...contract, functionName: "validationCount" }),
      simulateRelease(parameters, cycle),
    ]);
  const [pending, items, work, validations, gate] = await read().catch((error: unknown) => {
    throw chainError(error, "read the node's rewards");
  });
  const released = events.findLast((event) => event.kind === "released");
  const isForfeited = events.some(({ kind }) => kind === "forfeited");
  return {
    cycle,
    state: pending > 0n ? "pending" : isForfeited && !released ? "forfeited" : "released",
    pending,
    accrued: items.reduce((sum, { amount }) => sum + amount, 0n),
    items: items.length,
    work: Number(work),
    validations: Number(validations),
    gate,
    releaseTx: released?.kind === "released" ? released.tx : undefined,
  };
}

/** The gate that would refuse a release now, or undefined when it would be paid. */
async function simulateRelease(
  { chain, accumulator, node }: Pick<RewardEventsParameters, "chain" | "accumulator" | "node">,
  cycle: bigint,
): Promise<RewardGate | undefined> {
  try {
    await chain.client.simulateContract({
      address: accumulator,
      abi: rewardAccumulatorAbi,
      functionName: "release",
      args: [node, cycle],
      account: node,
    });
    return undefined;
  } catch (error) {
    const reverted =
      error instanceof BaseError && error.walk((cause) => cause instanceof ContractFunctionRevertedError);
    if (!(reverted instanceof ContractFunctionRevertedError)) throw error;
    return gates.find((gate) => gate === reverted.data?.errorName) ?? "Refused";
  }
}

const gates: readonly RewardGate[] = [
  "CycleNotEnded",
  "AccuracyFailed",
  "WorkProportionFailed",
  "ValidationProportionFailed",
  "NoPendingItems",
  "AlreadyReleased",
];

/**
 * Releases what a node earned in a cycle (PROTOCOL.md 14). `id` names the act: the same one never sends twice.
 * @returns the hash of the transaction
 * @throws BlfError `CHAIN_*`
 */
export async function releaseRewards(
  sender: Sender,
  parameters: { accumulator: Address; node: Address; cycle: bigint; id: string },
  signal?: AbortSignal,
): Promise<Hex> {
  const { accumulator, node, cycle } = parameters;
  const call = contractCall({
    address: accumulator,
    abi: rewardAccumulatorAbi,
    functionName: "release",
    args: [node, cycle],
  });
  const purpose = releasePurpose(parameters);
  const receipt = await sender.send({ purpose, action: `claim the rewards of cycle ${cycle}`, call }, signal);
  return receipt.transactionHash;
}

/** What `releaseRewards` signs for a cycle. */
export function releasePurpose({ id, cycle }: { id: string; cycle: bigint }): string {
  return `release:${id}:${cycle}`;
}
