import type { Command } from "commander";
import { formatEther } from "viem";
import { transactionLink } from "../chain/clients.ts";
import { readStake, type StakeStatus, stake } from "../chain/staking.ts";
import { updateConfigFile } from "../config/save.ts";
import { openSession, requireAddress, type Session } from "./session.ts";
import { parseBlind } from "./ui/amount.ts";
import { interruptSignal } from "./ui/interrupt.ts";
import { printJson, printTable } from "./ui/io.ts";
import { openChain, openChainSession, unlock } from "./wallet-session.ts";

type Options = { json?: boolean; passwordStdin?: boolean };

export function register(program: Command): void {
  const staking = program.command("staking").description("Stake BLIND and see the stake.");
  staking
    .command("stake <amount>")
    .description("Stake BLIND: 1000, 1000.5 or 1000000000000000000000wei. Approves exactly that amount first.")
    .option("--password-stdin", "read the keystore's password from standard input")
    .option("--json", "print one JSON document")
    .action(runStake);
  staking
    .command("status")
    .description("Show stake, unbonding, failures and balance.")
    .option("--json", "print one JSON document")
    .action(runStatus);
}

async function runStake(text: string, options: Options): Promise<void> {
  const amount = parseBlind(text);
  const session = openSession();
  const contracts = stakingContracts(session);
  const wallet = await unlock(session, options);
  const { chain, sender, journal } = await openChainSession(session, wallet);
  const interrupt = interruptSignal();
  try {
    const before = await readStake(chain, contracts, wallet.address);
    // The stake so far names this call: a command that was interrupted and is run again waits for its own transaction.
    const id = `${contracts.staking}:${before.staked}+${amount}`;
    const { approveTx, stakeTx } = await stake(sender, contracts, before, amount, id, interrupt.signal);
    const after = await readStake(chain, contracts, wallet.address);
    updateConfigFile(session.config.dir, { stake_amount_wei: after.staked });
    const link = transactionLink(chain, stakeTx);
    if (options.json) return printJson({ ok: true, approveTx: approveTx ?? null, stakeTx, link, ...stakeJson(after) });
    printTable([["staked now", `${formatEther(amount)} BLIND`], ["transaction", link ?? stakeTx], ...stakeRows(after)]);
  } finally {
    interrupt.clear();
    journal.close();
  }
}

async function runStatus(options: Options): Promise<void> {
  const session = openSession();
  const { config } = session;
  const contracts = stakingContracts(session);
  const chain = openChain(config);
  const status = await readStake(chain, contracts, requireNodeAddress(session));
  if (options.json) return printJson({ ok: true, ...stakeJson(status) });
  printTable(stakeRows(status));
}

function requireNodeAddress({ config }: Session): `0x${string}` {
  return config.node_address as `0x${string}`;
}

function stakingContracts({ config }: Session) {
  return { staking: requireAddress(config, "staking_address"), blind: requireAddress(config, "blind_token_address") };
}

function stakeJson(status: StakeStatus) {
  return {
    stakedWei: status.staked,
    unbondingWei: status.unbonding,
    unbondingAvailableAt: status.unbondingAvailableAt || null,
    active: status.active,
    consecutiveFailures: status.consecutiveFailures,
    maxConsecutiveFailures: status.maxConsecutiveFailures,
    balanceWei: status.balance,
  };
}

function stakeRows(status: StakeStatus): [string, string][] {
  const available = new Date(status.unbondingAvailableAt * 1000).toISOString();
  return [
    ["staked", `${formatEther(status.staked)} BLIND`],
    ["unbonding", status.unbonding > 0n ? `${formatEther(status.unbonding)} BLIND, free at ${available}` : "nothing"],
    ["active", status.active ? "yes" : `no: at least ${formatEther(status.minStake)} BLIND must be staked`],
    [
      "failures in a row",
      `${status.consecutiveFailures} of ${status.maxConsecutiveFailures} before the stake is slashed`,
    ],
    ["wallet", `${formatEther(status.balance)} BLIND`],
  ];
}
