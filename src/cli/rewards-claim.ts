import type { Command } from "commander";
import type { Address, Hex } from "viem";
import { transactionLink } from "../chain/clients.ts";
import { type RewardCycle, readCycle, readRewards, releasePurpose, releaseRewards } from "../chain/rewards.ts";
import { systemClock } from "../lib/clock.ts";
import { BlfError, exitCodes } from "../lib/errors.ts";
import { cycleJson, gateError, gateWords, isClaimable, printSearch } from "./rewards-output.ts";
import { openSession, requireAddress } from "./session.ts";
import { formatWei } from "./ui/format.ts";
import { interruptSignal } from "./ui/interrupt.ts";
import { print, printJson } from "./ui/io.ts";
import { runAct, unfinishedId } from "./unfinished.ts";
import { type ChainSession, openChainSession, unlock } from "./wallet-session.ts";

type Options = { json?: boolean; passwordStdin?: boolean; cycle?: string; fromBlock?: string };

type Claimed = { cycle: bigint; amount: bigint; tx: Hex; resumed: boolean };

/** Gives a command the options and the action of `rewards claim`: three commands of the original go by different names. */
export function defineClaim(command: Command): void {
  command
    .description("Claim what this node earned in the cycles that are over. One transaction for each cycle.")
    .option("--cycle <number>", "claim this cycle only")
    .option("--from-block <number>", "look no further back than this block")
    .option("--password-stdin", "read the keystore's password from standard input")
    .option("--json", "print one JSON document")
    .action((options: Options) => runClaim(options));
}

/** @throws BlfError `REWARDS_*`, `CHAIN_*` */
export async function runClaim(options: Options): Promise<void> {
  const only = parseBlock("--cycle", options.cycle);
  const fromBlock = parseBlock("--from-block", options.fromBlock);
  const session = openSession();
  const accumulator = requireAddress(session.config, "reward_accumulator_address");
  const wallet = await unlock(session, options);
  const chainSession = await openChainSession(session, wallet);
  const { chain, journal } = chainSession;
  const interrupt = interruptSignal();
  try {
    const node = wallet.address;
    const where = { chain, accumulator, node };
    const found =
      only === undefined
        ? await readRewards({ ...where, ...(fromBlock === undefined ? {} : { fromBlock }) })
        : { cycles: [await readCycle(where, only)], fromBlock: undefined, isComplete: undefined };
    const claimed: Claimed[] = [];
    for (const cycle of found.cycles) {
      const done = await claimCycle(chainSession, { accumulator, node, cycle }, interrupt.signal);
      if (done) claimed.push(done);
    }
    const taken = new Set(claimed.map(({ cycle }) => cycle));
    const blocked = found.cycles.filter(({ cycle, pending }) => pending > 0n && !taken.has(cycle));
    if (claimed.length === 0 && blocked.length > 0) throw gateError(blocked);
    if (claimed.length === 0 && only !== undefined) throw gateError(found.cycles);
    const links = claimed.map(({ tx }) => transactionLink(chain, tx));
    const total = claimed.reduce((sum, { amount }) => sum + amount, 0n);
    if (options.json)
      return printJson({
        ok: true,
        address: node,
        claimedWei: total,
        claimed: claimed.map(({ cycle, amount, tx, resumed }, index) => {
          return { cycle, amountWei: amount, tx, link: links[index] ?? null, resumed };
        }),
        blocked: blocked.map(cycleJson),
        fromBlock: found.fromBlock ?? null,
        complete: found.isComplete ?? null,
      });
    for (const [index, { cycle, amount, tx, resumed }] of claimed.entries())
      print(
        `claimed ${formatWei(amount)} BLIND of cycle ${cycle}${resumed ? " (sent by an earlier run)" : ""}: ${links[index] ?? tx}`,
      );
    for (const cycle of blocked) print(`cycle ${cycle.cycle}, ${formatWei(cycle.pending)} BLIND: ${gateWords(cycle)}`);
    if (claimed.length === 0) print("Nothing is pending. (A stake is taken out with `blindference staking withdraw`.)");
    if (found.fromBlock !== undefined) printSearch(found);
  } finally {
    interrupt.clear();
    journal.close();
  }
}

/** Claims one cycle if it can be, or waits for what an interrupted run of the command had sent for it. */
async function claimCycle(
  { sender, journal }: ChainSession,
  { accumulator, node, cycle }: { accumulator: Address; node: Address; cycle: RewardCycle },
  signal: AbortSignal,
): Promise<Claimed | undefined> {
  const kind = `release:${cycle.cycle}`;
  const detail = `${accumulator}:${node}`;
  const act = { journal, clock: systemClock, kind, detail };
  const unfinished = unfinishedId(act);
  const parameters = { accumulator, node, cycle: cycle.cycle };
  const wasSent =
    unfinished !== undefined &&
    journal.transactions.find(releasePurpose({ id: unfinished, cycle: cycle.cycle })) !== undefined;
  if (!isClaimable(cycle) && !wasSent) return undefined;
  const tx = await runAct(act, ({ id }) => releaseRewards(sender, { ...parameters, id }, signal));
  const amount = cycle.pending > 0n ? cycle.pending : cycle.accrued;
  return { cycle: cycle.cycle, amount, tx, resumed: wasSent };
}

/** A block or cycle number given on the command line. @throws BlfError `USAGE_INVALID_OPTION` */
export function parseBlock(name: string, text: string | undefined): bigint | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,19}$/.test(text)) return BigInt(text);
  throw new BlfError({
    code: "USAGE_INVALID_OPTION",
    message: `${name} must be a whole number`,
    hint: "`blindference rewards status` shows the numbers of the cycles.",
    exitCode: exitCodes.usage,
  });
}
