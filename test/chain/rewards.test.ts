import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type Address, keccak256, parseEther, toHex } from "viem";
import type { PrivateKeyAccount } from "viem/accounts";
import { blindAbi } from "../../src/chain/abi/blind.ts";
import { rewardAccumulatorAbi } from "../../src/chain/abi/reward-accumulator.ts";
import { stakingAbi } from "../../src/chain/abi/staking.ts";
import { createChain } from "../../src/chain/clients.ts";
import { contractCall } from "../../src/chain/contract-call.ts";
import { findRewardEvents } from "../../src/chain/reward-events.ts";
import { readCycle, readRewards, releaseRewards } from "../../src/chain/rewards.ts";
import type { Sender } from "../../src/chain/sender.ts";
import { readStake, stake } from "../../src/chain/staking.ts";
import { devnetAccounts } from "../../src/devnet/accounts.ts";
import { deployNetwork } from "../../src/devnet/contracts/deploy.ts";
import { expectCode } from "../crypto/expect-code.ts";
import { type ChainNetwork, startChainNetwork } from "../helpers/chain-network.ts";
import { failWith, type RpcAnswer, type RpcCall, startRpcProxy } from "../helpers/rpc-proxy.ts";

setDefaultTimeout(60_000);

const day = 86_400n;
const leader = 0;
const verifier = 1;

let network: ChainNetwork;
let icl: Sender;
let node: PrivateKeyAccount;
let count = 0;

beforeAll(async () => {
  network = await startChainNetwork();
  icl = network.sender(devnetAccounts().icl as PrivateKeyAccount);
});
afterAll(() => network.stop());

const accumulator = () => network.addresses.rewardAccumulator;
const rewardsOf = (address: Address, contract = accumulator()) =>
  readRewards({ chain: network.chain, accumulator: contract, node: address });

async function accrue(to: Address, cycle: bigint, role: number, amount: bigint, contract = accumulator()) {
  const args = [to, cycle, BigInt(++count), role, amount, keccak256(toHex(`job ${count}`))] as const;
  const call = contractCall({ address: contract, abi: rewardAccumulatorAbi, functionName: "accrue", args });
  await icl.send({ purpose: `accrue:${count}`, action: "accrue", call });
}

const rpc = (method: string, params: unknown[] = []) =>
  network.chain.client.request({ method, params } as unknown as { method: "eth_chainId" });

async function advance(seconds: bigint): Promise<void> {
  await rpc("evm_increaseTime", [`0x${seconds.toString(16)}`]);
  await rpc("evm_mine");
}

const currentCycle = async () => (await network.chain.client.getBlock()).timestamp / day;

describe("rewards of a node", () => {
  test("of a node that never earned: none", async () => {
    node = await network.account();
    expect(await rewardsOf(node.address)).toEqual({ cycles: [], fromBlock: 0n, isComplete: true });
  });

  test("a cycle that runs, then ends, is paid, and stays paid", async () => {
    node = await network.account();
    const other = await network.account();
    const cycle = await currentCycle();
    await accrue(node.address, cycle, leader, parseEther("0.6"));
    await accrue(node.address, cycle, verifier, parseEther("0.2"));
    await accrue(other.address, cycle, leader, parseEther("5"));
    const running = await rewardsOf(node.address);
    expect(running.cycles).toEqual([
      {
        cycle,
        state: "pending",
        pending: parseEther("0.8"),
        accrued: parseEther("0.8"),
        items: 2,
        work: 1,
        validations: 1,
        gate: "CycleNotEnded",
        releaseTx: undefined,
      },
    ]);

    await advance(day);
    expect((await rewardsOf(node.address)).cycles[0]).toMatchObject({ state: "pending", gate: undefined });
    const sender = network.sender(node);
    const parameters = { accumulator: accumulator(), node: node.address, cycle, id: "one" };
    const tx = await releaseRewards(sender, parameters);
    expect(await releaseRewards(sender, parameters)).toBe(tx);
    const held = await network.chain.client.readContract({
      address: network.addresses.blind,
      abi: blindAbi,
      functionName: "balanceOf",
      args: [node.address],
    });
    expect(held).toBe(parseEther("0.8"));
    const paid = { state: "released", pending: 0n, accrued: parseEther("0.8"), gate: "AlreadyReleased", releaseTx: tx };
    expect((await rewardsOf(node.address)).cycles).toMatchObject([paid]);
    expect((await rewardsOf(other.address)).cycles).toMatchObject([
      { pending: parseEther("5"), work: 1, validations: 0 },
    ]);
  });

  test("a cycle without anything, and one that was forfeited", async () => {
    node = await network.account();
    const where = { chain: network.chain, accumulator: accumulator(), node: node.address };
    expect(await readCycle(where, 3n)).toMatchObject({ cycle: 3n, pending: 0n, items: 0, gate: "NoPendingItems" });
    await accrue(node.address, 3n, leader, 7n);
    const forfeit = contractCall({
      address: accumulator(),
      abi: rewardAccumulatorAbi,
      functionName: "forfeit",
      args: [node.address, 3n],
    });
    const owner = network.sender(devnetAccounts().deployer as PrivateKeyAccount);
    await owner.send({ purpose: `forfeit:${node.address}`, action: "forfeit", call: forfeit });
    expect((await rewardsOf(node.address)).cycles).toMatchObject([{ state: "forfeited", pending: 0n, accrued: 7n }]);
  });

  test("each gate of the contract by its name", async () => {
    const second = await deployNetwork({ rpcUrl: network.url, minWorkPerCycle: 1n, minValidationPerCycle: 1n });
    const gateOf = async (address: Address, contract: Address) => (await rewardsOf(address, contract)).cycles[0]?.gate;
    node = await network.account(parseEther("1"), parseEther("1000"));
    await accrue(node.address, 1n, verifier, 1n, second.rewardAccumulator);
    expect(await gateOf(node.address, second.rewardAccumulator)).toBe("WorkProportionFailed");
    await accrue(node.address, 1n, leader, 1n, second.rewardAccumulator);
    expect(await gateOf(node.address, second.rewardAccumulator)).toBeUndefined();
    await accrue(node.address, 2n, leader, 1n, second.rewardAccumulator);
    expect(await gateOf(node.address, second.rewardAccumulator)).toBe("ValidationProportionFailed");

    const sender = network.sender(node);
    const contracts = network.addresses;
    await stake(sender, contracts, await readStake(network.chain, contracts, node.address), parseEther("1000"), "s");
    const fail = contractCall({
      address: contracts.staking,
      abi: stakingAbi,
      functionName: "recordFailure",
      args: [node.address],
    });
    await icl.send({ purpose: `fail:${node.address}`, action: "record a failure", call: fail });
    await accrue(node.address, 4n, leader, 1n);
    expect(await gateOf(node.address, accumulator())).toBe("AccuracyFailed");
    const parameters = { accumulator: accumulator(), node: node.address, cycle: 4n, id: "early" };
    const error = await expectCode(() => releaseRewards(sender, parameters), "CHAIN_REVERTED");
    expect(error.message).toBe("Cannot claim the rewards of cycle 4: the contract refuses it (AccuracyFailed)");
  });
});

describe("an RPC that serves few blocks at a time", () => {
  const asked: [bigint, bigint][] = [];
  const limited = (limit: bigint) => async (call: RpcCall, forward: () => Promise<RpcAnswer>) => {
    const [filter] = call.params as [{ fromBlock: string; toBlock: string }];
    const range: [bigint, bigint] = [BigInt(filter.fromBlock), BigInt(filter.toBlock)];
    if (range[1] - range[0] + 1n > limit) return { error: { code: -32_005, message: `at most ${limit} blocks` } };
    asked.push(range);
    return forward();
  };

  test("is asked in pieces that leave nothing out, the newest first", async () => {
    node = await network.account();
    await accrue(node.address, 11n, leader, 1n);
    await rpc("anvil_mine", ["0x190"]);
    await accrue(node.address, 12n, leader, 2n);
    await rpc("anvil_mine", ["0x190"]);
    await accrue(node.address, 13n, leader, 3n);
    const latest = await network.chain.client.getBlockNumber();
    const proxy = await startRpcProxy(network.url);
    try {
      proxy.rule("eth_getLogs", limited(60n));
      const chain = createChain({ rpcUrl: proxy.url, chainId: 31_337 });
      const parameters = { chain, accumulator: accumulator(), node: node.address };
      const found = await findRewardEvents(parameters);
      expect(found.events.map(({ cycle }) => cycle)).toEqual([11n, 12n, 13n]);
      expect(found).toMatchObject({ fromBlock: 0n, isComplete: true });
      expect(asked[0]![1]).toBe(latest);
      expect(asked.at(-1)![0]).toBe(0n);
      for (const [index, [start]] of asked.entries())
        if (asked[index + 1]) expect(asked[index + 1]![1]).toBe(start - 1n);

      const some = await findRewardEvents({ ...parameters, maxRequests: 8 });
      expect(some.isComplete).toBe(false);
      expect(some.events.map(({ cycle }) => cycle)).toEqual([13n]);
      const since = await findRewardEvents({ ...parameters, fromBlock: some.fromBlock });
      expect(since).toEqual({ ...some, isComplete: true });

      proxy.rule("eth_getLogs", limited(2n));
      await expectCode(() => findRewardEvents(parameters), "CHAIN_REFUSED");
      proxy.rule("eth_getLogs", failWith(503));
      await expectCode(() => findRewardEvents(parameters), "CHAIN_UNREACHABLE");
    } finally {
      await proxy.stop();
    }
  });
});
