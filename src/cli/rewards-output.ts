import * as z from "zod";
import type { RewardCycle, RewardGate, Rewards } from "../chain/rewards.ts";
import { BlfError } from "../lib/errors.ts";
import { formatWei } from "./ui/format.ts";
import { print, printColumns } from "./ui/io.ts";

const wei = z.string().regex(/^\d+$/);
const hash = z.string().regex(/^0x[0-9a-f]{64}$/);

/** Numbers of cycles and blocks are decimal strings: they may be larger than a JSON number can hold. */
const number = z.string().regex(/^\d+$/);

const cycleSchema = z.strictObject({
  cycle: number,
  state: z.enum(["pending", "released", "forfeited"]),
  pendingWei: wei,
  accruedWei: wei,
  items: z.int(),
  jobsLed: z.int(),
  jobsVerified: z.int(),
  claimable: z.boolean(),
  /** Why a pending cycle cannot be claimed now: the contract's own word, and what it means. */
  gate: z.string().nullable(),
  reason: z.string().nullable(),
  releaseTx: hash.nullable(),
});

const searchShape = {
  /** First block that was searched for rewards, and whether that is as far back as was asked for. */
  fromBlock: number,
  complete: z.boolean(),
};

const claimSchema = z.strictObject({
  ok: z.literal(true),
  address: z.string(),
  claimedWei: wei,
  claimed: z.array(
    z.strictObject({
      cycle: number,
      amountWei: wei,
      tx: hash,
      link: z.string().nullable(),
      /** Whether an earlier run of the command had sent it. */
      resumed: z.boolean(),
    }),
  ),
  /** Cycles with something pending that a gate holds back. */
  blocked: z.array(cycleSchema),
  /** Null when one cycle was named, since nothing was searched for then. */
  ...{ fromBlock: number.nullable(), complete: z.boolean().nullable() },
});

/** The JSON document of each command. */
export const outputs: Record<string, z.ZodType> = {
  "rewards status": z.strictObject({
    ok: z.literal(true),
    address: z.string(),
    pendingWei: wei,
    claimableWei: wei,
    cycles: z.array(cycleSchema),
    ...searchShape,
  }),
  "rewards claim": claimSchema,
  "jobs claim": claimSchema,
};

export function cycleJson(cycle: RewardCycle) {
  return {
    cycle: cycle.cycle,
    state: cycle.state,
    pendingWei: cycle.pending,
    accruedWei: cycle.accrued,
    items: cycle.items,
    jobsLed: cycle.work,
    jobsVerified: cycle.validations,
    claimable: isClaimable(cycle),
    gate: cycle.pending > 0n ? (cycle.gate ?? null) : null,
    reason: cycle.pending > 0n && cycle.gate ? gateWords(cycle) : null,
    releaseTx: cycle.releaseTx ?? null,
  };
}

export function isClaimable(cycle: RewardCycle): boolean {
  return cycle.pending > 0n && cycle.gate === undefined;
}

/** What keeps a cycle from being claimed, in words. */
export function gateWords({ gate, work, validations }: RewardCycle): string {
  const words: Record<RewardGate, string> = {
    CycleNotEnded: "the cycle has not ended yet",
    AccuracyFailed: "the node has failures on record; an accepted job clears them",
    WorkProportionFailed: `the node led too few jobs in this cycle (${work})`,
    ValidationProportionFailed: `the node verified too few jobs in this cycle (${validations})`,
    NoPendingItems: "nothing is pending in this cycle",
    AlreadyReleased: "it was paid already",
    Refused: "the contract refuses it without a reason that is known here",
  };
  return gate ? words[gate] : "it can be claimed";
}

const hints: Record<RewardGate, string> = {
  CycleNotEnded: "Run the same command after the end of the cycle. Nothing was sent and no gas was spent.",
  AccuracyFailed: "`blindference staking status` shows the failures; claim after the next accepted job.",
  WorkProportionFailed:
    "The network's rules ask for more work per cycle; `blindference rewards status` shows what was counted.",
  ValidationProportionFailed:
    "The network's rules ask for more verdicts per cycle; `blindference rewards status` shows what was counted.",
  NoPendingItems: "`blindference rewards status` shows the cycles in which this node earned.",
  AlreadyReleased: "`blindference rewards status` shows what was paid.",
  Refused: "Check reward_accumulator_address; nothing was sent and no gas was spent.",
};

/** Why nothing could be claimed: the gates' reasons, each cycle with its own. */
export function gateError(blocked: readonly RewardCycle[]): BlfError {
  const gate = blocked[0]?.gate ?? "Refused";
  const reasons = blocked.slice(0, 3).map((cycle) => `cycle ${cycle.cycle}: ${gateWords(cycle)}`);
  const more = blocked.length > 3 ? `; and ${blocked.length - 3} more` : "";
  return new BlfError({
    code: `REWARDS_${gate.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase()}`,
    message: `Nothing can be claimed now: ${reasons.join("; ")}${more}`,
    hint: hints[gate],
    retryable: gate === "CycleNotEnded",
  });
}

export function printCycles(cycles: readonly RewardCycle[]): void {
  printColumns(
    ["CYCLE", "STATE", "BLIND", "JOBS LED/VERIFIED", "CLAIM"],
    cycles.map((cycle) => [
      String(cycle.cycle),
      cycle.state,
      formatWei(cycle.pending > 0n ? cycle.pending : cycle.accrued),
      `${cycle.work}/${cycle.validations}`,
      cycle.state === "pending" ? (cycle.gate ? `not yet: ${gateWords(cycle)}` : "now") : "",
    ]),
  );
}

/** Says when the search for rewards did not reach its end. */
export function printSearch({ fromBlock, isComplete }: Pick<Rewards, "fromBlock" | "isComplete">): void {
  if (isComplete) return;
  print(`The RPC serves few blocks at a time: nothing before block ${fromBlock} was searched.`);
  print("Another rpc_url finds older rewards, and --cycle claims one whose number is known.");
}
