import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { fileURLToPath } from "node:url";
import { formatEther, parseEther } from "viem";
import type { PrivateKeyAccount } from "viem/accounts";
import { stakingAbi } from "../../src/chain/abi/staking.ts";
import { contractCall } from "../../src/chain/contract-call.ts";
import { createSender } from "../../src/chain/sender.ts";
import { readStake } from "../../src/chain/staking.ts";
import { createMemoryTransactionStore } from "../../src/chain/transaction-store.ts";
import { outputs } from "../../src/cli/staking.ts";
import { devnetAccounts } from "../../src/devnet/accounts.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { captureLog } from "../helpers/capture-log.ts";
import { dropReply } from "../helpers/rpc-proxy.ts";
import { until } from "../helpers/until.ts";
import { useChainWorld } from "./chain-command.ts";
import { errorText } from "./expect-error.ts";
import { runCli } from "./run-cli.ts";
import { enter, runOnTerminal } from "./terminal.ts";

setDefaultTimeout(120_000);

const { log } = captureLog();
const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const world = useChainWorld();

const stakeOf = () => readStake(world.chain, world.devnet.addresses, world.address);
const sent = () => world.proxy.calls.filter(({ method }) => method === "eth_sendRawTransaction").length;

/** The checked document of a command that succeeds. */
async function run(...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await runCli(["staking", ...args, "--json"], { env: world.env });
  expect([code, stderr]).toEqual([0, ""]);
  const document = JSON.parse(stdout) as Record<string, unknown>;
  expect(outputs[`staking ${args[0]}`]!.safeParse(document).error).toBeUndefined();
  return document;
}

/** Starts a command and kills it, as `kill -9` does, once the proxy has seen so many transactions. */
async function runAndKill(args: string[], transactions: number): Promise<void> {
  const before = sent();
  const child = Bun.spawn([process.execPath, main, "staking", ...args], {
    env: { ...world.env, HOME: world.node.dir, PATH: "/usr/bin:/bin" },
    stdout: "ignore",
    stderr: "ignore",
  });
  await until("the transaction is sent", () => sent() - before >= transactions, { timeoutMs: 60_000 });
  child.kill("SIGKILL");
  await child.exited;
}

async function recordFailure(): Promise<void> {
  const account = devnetAccounts().icl as PrivateKeyAccount;
  const store = createMemoryTransactionStore();
  const sender = createSender({
    chain: world.chain,
    account,
    store,
    clock: systemClock,
    log,
    maxFeePerGas: 10n ** 10n,
  });
  const call = contractCall({
    address: world.devnet.addresses.staking,
    abi: stakingAbi,
    functionName: "recordFailure",
    args: [world.address],
  });
  await sender.send({ purpose: "fail", action: "record a failure", call });
}

describe("a command that is interrupted", () => {
  test("kill -9 after the stake was sent: the same command waits for it, and another one stakes again", async () => {
    // The transactions are mined, but nobody hears of the receipt of the second one.
    world.proxy.rule("eth_getTransactionReceipt", (_call, forward) => (sent() < 2 ? forward() : { result: null }));
    await runAndKill(["stake", "1000"], 2);
    world.proxy.rule("eth_getTransactionReceipt", undefined);
    await until("it is mined", async () => (await stakeOf()).staked > 0n);

    const again = await run("stake", "1000");
    expect(again).toMatchObject({ resumed: true, approveTx: null, stakedWei: parseEther("1000").toString() });
    expect((await stakeOf()).staked).toBe(parseEther("1000"));

    const another = await run("stake", "1000");
    expect(another).toMatchObject({ resumed: false, stakedWei: parseEther("2000").toString() });
    expect((await stakeOf()).balance).toBe(parseEther("8000"));
  });

  test("kill -9 after the approval: the same command goes on with the stake, and approves once", async () => {
    world.proxy.rule("eth_getTransactionReceipt", () => ({ result: null }));
    await runAndKill(["stake", "1500"], 1);
    world.proxy.rule("eth_getTransactionReceipt", undefined);
    expect(await run("stake", "1500")).toMatchObject({ stakedWei: parseEther("1500").toString() });
    expect(await world.chain.client.getTransactionCount({ address: world.address })).toBe(2);
  });

  test("the reply to the unstake is lost: the same command finds it mined, and a third one is told so", async () => {
    await run("stake", "1000");
    world.proxy.rule("eth_sendRawTransaction", dropReply);
    const lost = await runCli(["staking", "unstake"], { env: world.env });
    expect(errorText(lost)).toContain("75 Cannot unstake: the RPC does not answer [CHAIN_UNREACHABLE]");
    world.proxy.rule("eth_sendRawTransaction", undefined);
    await until("it is mined", async () => (await stakeOf()).unbonding > 0n);
    const again = await run("unstake");
    expect(again).toMatchObject({ resumed: true, stakedWei: "0", amountWei: parseEther("1000").toString() });
    expect(await world.chain.client.getTransactionCount({ address: world.address })).toBe(3);
    expect(errorText(await runCli(["staking", "unstake"], { env: world.env }))).toContain("STAKE_ALREADY_UNBONDING");
  });
});

describe("status", () => {
  test("says how far a slash is", async () => {
    await run("stake", "1000");
    const text = async () => (await runCli(["staking", "status"], { env: world.env })).stdout;
    expect(await text()).toBe(
      [
        `node       ${world.address}`,
        "staked     1000 BLIND",
        "unbonding  nothing",
        "active     yes",
        "failures   none in a row; 3 would cost the whole stake",
        "wallet     9000 BLIND",
        "",
      ].join("\n"),
    );
    await recordFailure();
    expect(await text()).toContain("failures   1 in a row; 2 more cost the whole stake, an accepted job clears them\n");
    await recordFailure();
    const { consecutiveFailures, failuresUntilSlash } = await run("status");
    expect([consecutiveFailures, failuresUntilSlash]).toEqual([2, 1]);
    expect(await text()).toContain(
      "failures   2 in a row; 1 more costs the whole stake, an accepted job clears them\n",
    );
    await recordFailure();
    expect(await run("status")).toMatchObject({ stakedWei: "0", active: false, consecutiveFailures: 0 });
    expect(await text()).toContain("active     no: stake at least 1000 BLIND\n");
  });

  test("counts the time down", async () => {
    await run("stake", "1000");
    await run("unstake");
    const { stdout } = await runCli(["staking", "status"], { env: world.env });
    expect(stdout).toMatch(/^unbonding {2}1000 BLIND, free in (?:4 d|3 d 23 h) \(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\)$/m);
  });
});

test("on a terminal unstaking is asked for first, and no means nothing is sent", async () => {
  await run("stake", "1000");
  const before = sent();
  await using terminal = runOnTerminal(["staking", "unstake"], { env: world.env });
  await terminal.see("Take out 1000 BLIND?");
  terminal.type("n");
  terminal.type(enter);
  expect(await terminal.ended).toBe(1);
  expect(terminal.text()).toContain("CANCELLED");
  expect(sent()).toBe(before);
  expect(formatEther((await stakeOf()).staked)).toBe("1000");
});
