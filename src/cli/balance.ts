import type { Command } from "commander";
import { formatGwei } from "viem";
import * as z from "zod";
import { type Balance, heartbeatsPerMonth, readBalance } from "../chain/balance.ts";
import { assertChainId } from "../chain/clients.ts";
import { openSession, requireAddress, requireNodeAddress } from "./session.ts";
import { formatWei } from "./ui/format.ts";
import { printJson, printTable } from "./ui/io.ts";
import { openChain } from "./wallet-session.ts";

const wei = z.string().regex(/^\d+$/);

/** The JSON document of the command. */
export const outputs: Record<string, z.ZodType> = {
  balance: z.strictObject({
    ok: z.literal(true),
    address: z.string(),
    blindWei: wei,
    ethWei: wei,
    gas: z.strictObject({
      priceWei: wei,
      /** Gas of one on-chain heartbeat, and whether the chain estimated it for this node. */
      perHeartbeat: wei,
      estimated: z.boolean(),
      heartbeatsPerMonth: z.int(),
      monthWei: wei,
    }),
    enoughForAMonth: z.boolean(),
    warning: z.string().nullable(),
  }),
};

export function register(program: Command): void {
  program
    .command("balance")
    .description("Show the wallet's BLIND and ETH, and whether the gas lasts for a month of heartbeats.")
    .option("--json", "print one JSON document")
    .action(run);
}

async function run(options: { json?: boolean }): Promise<void> {
  const { config } = openSession();
  const account = requireNodeAddress(config);
  const blind = requireAddress(config, "blind_token_address");
  const registry = config.node_registry_address || undefined;
  const chain = openChain(config);
  await assertChainId(chain);
  const balance = await readBalance({ chain, blind, registry, account });
  const missing = balance.monthCost - balance.ether;
  const warning =
    missing > 0n
      ? `gas for a month of heartbeats is missing: send at least ${formatWei(missing)} ETH to ${account}`
      : null;
  if (options.json)
    return printJson({
      ok: true,
      address: account,
      blindWei: balance.blind,
      ethWei: balance.ether,
      gas: {
        priceWei: balance.gasPrice,
        perHeartbeat: balance.heartbeatGas,
        estimated: balance.isEstimated,
        heartbeatsPerMonth,
        monthWei: balance.monthCost,
      },
      enoughForAMonth: missing <= 0n,
      warning,
    });
  printTable([
    ["address", account],
    ["BLIND", formatWei(balance.blind)],
    ["ETH", formatWei(balance.ether)],
    ["gas of a month", describeCost(balance)],
    ...(warning ? [["warning", warning, "bad"] as [string, string, "bad"]] : []),
  ]);
}

/** How the cost is computed, so that a reader can judge it. */
function describeCost({ gasPrice, heartbeatGas, isEstimated, monthCost }: Balance): string {
  const source = isEstimated ? "" : " (assumed: the node is not registered)";
  return `${formatWei(monthCost)} ETH: ${heartbeatsPerMonth} heartbeats of ${heartbeatGas} gas${source} at ${formatGwei(gasPrice)} gwei`;
}
