import type { Command } from "commander";
import { assertChainId } from "../chain/clients.ts";
import { readRewards } from "../chain/rewards.ts";
import { defineClaim, parseBlock } from "./rewards-claim.ts";
import { cycleJson, isClaimable, printCycles, printSearch } from "./rewards-output.ts";
import { openSession, requireAddress, requireNodeAddress } from "./session.ts";
import { formatWei } from "./ui/format.ts";
import { print, printJson, printTable } from "./ui/io.ts";
import { openChain } from "./wallet-session.ts";

export { outputs } from "./rewards-output.ts";

type Options = { json?: boolean; fromBlock?: string };

export function register(program: Command): void {
  const rewards = program.command("rewards").description("See and claim what this node earned per cycle.");
  rewards
    .command("status")
    .description("Show the cycles in which this node earned, and what keeps the pending ones from being claimed.")
    .option("--from-block <number>", "look no further back than this block")
    .option("--json", "print one JSON document")
    .action(runStatus);
  defineClaim(rewards.command("claim"));
}

async function runStatus(options: Options): Promise<void> {
  const session = openSession();
  const accumulator = requireAddress(session.config, "reward_accumulator_address");
  const node = requireNodeAddress(session.config);
  const fromBlock = parseBlock("--from-block", options.fromBlock);
  const chain = openChain(session.config);
  await assertChainId(chain);
  const rewards = await readRewards({ chain, accumulator, node, ...(fromBlock === undefined ? {} : { fromBlock }) });
  const { cycles, isComplete } = rewards;
  const pending = cycles.reduce((sum, cycle) => sum + cycle.pending, 0n);
  const claimable = cycles.filter(isClaimable).reduce((sum, cycle) => sum + cycle.pending, 0n);
  if (options.json)
    return printJson({
      ok: true,
      address: node,
      pendingWei: pending,
      claimableWei: claimable,
      cycles: cycles.map(cycleJson),
      fromBlock: rewards.fromBlock,
      complete: isComplete,
    });
  printTable([
    ["node", node],
    ["pending", `${formatWei(pending)} BLIND`],
    ["claimable", `${formatWei(claimable)} BLIND${claimable > 0n ? ": blindference rewards claim" : ""}`],
  ]);
  if (cycles.length > 0) print("");
  if (cycles.length > 0) printCycles(cycles);
  printSearch(rewards);
}
