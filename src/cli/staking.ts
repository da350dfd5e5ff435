import type { Command } from "commander";
import { formatEther } from "viem";
import { assertChainId, type Chain, transactionLink } from "../chain/clients.ts";
import { readChainTime, readStake, type StakeStatus, sendStake, stake, stakePurpose } from "../chain/staking.ts";
import { assertUnstakeable, assertWithdrawable, unbondingSeconds, unstake, withdraw } from "../chain/unstaking.ts";
import { updateConfigFile } from "../config/save.ts";
import { systemClock, unixSeconds } from "../lib/clock.ts";
import { openSession, requireAddress, requireNodeAddress, type Session } from "./session.ts";
import { stakeJson, stakeRows } from "./staking-output.ts";
import { parseBlind } from "./ui/amount.ts";
import { confirm } from "./ui/confirm.ts";
import { formatSeconds } from "./ui/format.ts";
import { interruptSignal } from "./ui/interrupt.ts";
import { printJson, printTable } from "./ui/io.ts";
import { type Act, runAct } from "./unfinished.ts";
import { type ChainSession, openChain, openChainSession, unlock } from "./wallet-session.ts";

export { outputs } from "./staking-output.ts";

type Options = { json?: boolean; passwordStdin?: boolean; yes?: boolean };

export function register(program: Command): void {
  const staking = program.command("staking").description("Stake BLIND, take it out again, and see the stake.");
  withOptions(staking.command("stake <amount>"))
    .description("Stake BLIND: 1000, 1000.5 or 1000000000000000000000wei. Approves exactly that amount first.")
    .action(runStake);
  withOptions(staking.command("unstake"))
    .description("Begin to take the whole stake out; it is free 96 hours later, and the node earns nothing meanwhile.")
    .option("-y, --yes", "do not ask")
    .action(runUnstake);
  withOptions(staking.command("withdraw"))
    .description("Take what has unbonded back into the wallet, 96 hours after `unstake`.")
    .action(runWithdraw);
  staking
    .command("status")
    .description("Show stake, unbonding, failures and balance.")
    .option("--json", "print one JSON document")
    .action(runStatus);
}

function withOptions(command: Command): Command {
  return command
    .option("--password-stdin", "read the keystore's password from standard input")
    .option("--json", "print one JSON document");
}

async function runStake(text: string, options: Options): Promise<void> {
  const amount = parseBlind(text);
  await write(options, { kind: "stake", detail: `${amount}` }, async ({ contracts, sender, before, act, signal }) => {
    const resumed = act.hasSent(stakePurpose(act.id));
    const { approveTx, stakeTx } = resumed
      ? { approveTx: undefined, stakeTx: await sendStake(sender, contracts, amount, act.id, signal) }
      : await stake(sender, contracts, before, amount, act.id, signal);
    return {
      tx: stakeTx,
      resumed,
      said: ["staked now", `${formatEther(amount)} BLIND`],
      json: { amountWei: amount, approveTx: approveTx ?? null },
    };
  });
}

async function runUnstake(options: Options): Promise<void> {
  await write(options, { kind: "unstake", detail: "" }, async ({ contracts, sender, before, act, signal, session }) => {
    const resumed = act.hasSent(`unstake:${act.id}`);
    if (!resumed) {
      assertUnstakeable(before);
      if (before.unbonding > 0n) session.log.warn("what is unbonding already starts its 96 hours anew");
      await confirm(
        `Take out ${formatEther(before.staked)} BLIND? It is free in 96 hours, and the node is inactive at once.`,
        options,
      );
    }
    const tx = await unstake(sender, contracts, act.id, signal);
    const after = resumed ? before.unbonding : before.staked;
    return {
      tx,
      resumed,
      said: ["unstaking", `${formatEther(after)} BLIND, free in ${formatSeconds(unbondingSeconds)}`],
      json: { amountWei: after },
    };
  });
}

async function runWithdraw(options: Options): Promise<void> {
  const what = { kind: "withdraw", detail: "" };
  await write(options, what, async ({ contracts, sender, before, act, signal, now }) => {
    const resumed = act.hasSent(`withdraw:${act.id}`);
    if (!resumed) assertWithdrawable(before, now, formatSeconds);
    const tx = await withdraw(sender, contracts, act.id, signal);
    const amount = resumed ? undefined : `${formatEther(before.unbonding)} BLIND`;
    return { tx, resumed, said: ["withdrawn", amount ?? "by the transaction of an earlier run"], json: {} };
  });
}

async function runStatus(options: Options): Promise<void> {
  const session = openSession();
  const contracts = stakingContracts(session);
  const address = requireNodeAddress(session.config);
  const chain = openChain(session.config);
  await assertChainId(chain);
  const [status, now] = await Promise.all([readStake(chain, contracts, address), currentTime(chain)]);
  if (options.json) return printJson({ ok: true, address, ...stakeJson(status, now) });
  printTable([["node", address], ...stakeRows(status, now)]);
}

type WriteContext = ChainSession & {
  session: Session;
  contracts: ReturnType<typeof stakingContracts>;
  before: StakeStatus;
  act: Act;
  /** Unix seconds. */
  now: number;
  signal: AbortSignal;
};

type Written = {
  tx: `0x${string}`;
  resumed: boolean;
  /** The first line of the table. */
  said: [string, string];
  json: Record<string, unknown>;
};

/** What every command that changes the stake has in common: unlock, act once, read again, tell. */
async function write(
  options: Options,
  what: { kind: string; detail: string },
  action: (context: WriteContext) => Promise<Written>,
): Promise<void> {
  const session = openSession();
  const contracts = stakingContracts(session);
  const wallet = await unlock(session, options);
  const chainSession = await openChainSession(session, wallet);
  const { chain, journal } = chainSession;
  const interrupt = interruptSignal();
  try {
    const [before, now] = await Promise.all([readStake(chain, contracts, wallet.address), currentTime(chain)]);
    const actOptions = { journal, clock: systemClock, kind: what.kind, detail: `${contracts.staking}:${what.detail}` };
    const written = await runAct(actOptions, (act) =>
      action({ ...chainSession, session, contracts, before, act, now, signal: interrupt.signal }),
    );
    const [after, later] = await Promise.all([readStake(chain, contracts, wallet.address), currentTime(chain)]);
    updateConfigFile(session.config.dir, { stake_amount_wei: after.staked });
    const { tx, resumed } = written;
    const link = transactionLink(chain, tx);
    if (options.json)
      return printJson({ ok: true, ...written.json, tx, link: link ?? null, resumed, ...stakeJson(after, later) });
    const sent = resumed ? " (sent by an earlier run of this command)" : "";
    printTable([written.said, ["transaction", `${link ?? tx}${sent}`], ...stakeRows(after, later)]);
  } finally {
    interrupt.clear();
    journal.close();
  }
}

/** Unix seconds: this machine's time, or the chain's when that is ahead, as on a test network after a jump through time. */
async function currentTime(chain: Chain): Promise<number> {
  return Math.max(unixSeconds(systemClock), await readChainTime(chain));
}

function stakingContracts({ config }: Session) {
  return { staking: requireAddress(config, "staking_address"), blind: requireAddress(config, "blind_token_address") };
}
