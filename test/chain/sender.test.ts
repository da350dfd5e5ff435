import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { type Hex, keccak256, maxUint256, parseAbiItem, parseGwei, parseTransaction } from "viem";
import type { PrivateKeyAccount } from "viem/accounts";
import { blindAbi } from "../../src/chain/abi/blind.ts";
import { nodeRegistryAbi } from "../../src/chain/abi/node-registry.ts";
import { type Chain, createChain } from "../../src/chain/clients.ts";
import { contractCall } from "../../src/chain/contract-call.ts";
import type { Sender, SenderOptions, SendRequest } from "../../src/chain/sender.ts";
import { createMemoryTransactionStore, type TransactionStore } from "../../src/chain/transaction-store.ts";
import { expectCode } from "../crypto/expect-code.ts";
import { type ChainNetwork, startChainNetwork } from "../helpers/chain-network.ts";
import { manualClock } from "../helpers/manual-clock.ts";
import {
  dropReply,
  dropRequest,
  failWith,
  holdTransactions,
  type RpcProxy,
  type RpcRule,
  startRpcProxy,
} from "../helpers/rpc-proxy.ts";
import { until } from "../helpers/until.ts";

const approvalEvent = parseAbiItem("event Approval(address indexed owner, address indexed spender, uint256 value)");

let network: ChainNetwork;
let proxy: RpcProxy;
let proxied: Chain;
let account: PrivateKeyAccount;
let store: TransactionStore;

beforeAll(async () => {
  network = await startChainNetwork();
});
afterAll(() => network.stop());
beforeEach(async () => {
  proxy = await startRpcProxy(network.url);
  proxied = createChain({ rpcUrl: proxy.url, chainId: 31_337 });
  account = await network.account();
  store = createMemoryTransactionStore();
});
afterEach(() => proxy.stop());

/** A new sender as after a start of the program, over what is left of the last one: the store. */
function sender(options: Partial<SenderOptions> = {}): Sender {
  return network.sender(account, { chain: proxied, store, ...options });
}

/** An approval of so many wei, which can be counted on chain. */
function approve(value: bigint): SendRequest {
  const { blind, staking } = network.addresses;
  const call = contractCall({ address: blind, abi: blindAbi, functionName: "approve", args: [staking, value] });
  return { purpose: `approve:${value}`, action: "approve", call };
}

async function approvals(): Promise<bigint[]> {
  const { blind } = network.addresses;
  const logs = await network.chain.client.getLogs({
    address: blind,
    event: approvalEvent,
    args: { owner: account.address },
    fromBlock: 0n,
  });
  return logs.map(({ args }) => args.value!);
}

const nonce = () => network.chain.client.getTransactionCount({ address: account.address });

describe("one transaction per purpose", () => {
  test("a second call, one at the same moment and one after a restart all get the first receipt", async () => {
    const first = sender();
    const [a, b] = await Promise.all([first.send(approve(1n)), first.send(approve(1n))]);
    const c = await first.send(approve(1n));
    const d = await sender().send(approve(1n));
    expect(new Set([a, b, c, d].map(({ transactionHash }) => transactionHash)).size).toBe(1);
    expect(await approvals()).toEqual([1n]);
    expect(store.find("approve:1")).toMatchObject({ status: "succeeded", hashes: [a.transactionHash], nonce: 0 });
  });

  test("fifty sends at once take fifty consecutive nonces", async () => {
    const one = sender();
    const values = Array.from({ length: 50 }, (_, index) => BigInt(index + 1));
    const receipts = await Promise.all(values.map((value) => one.send(approve(value))));
    expect(receipts.every(({ status }) => status === "success")).toBe(true);
    expect(await approvals()).toEqual(values);
    expect(values.map((value) => store.find(`approve:${value}`)?.nonce)).toEqual(
      values.map((value) => Number(value) - 1),
    );
  });

  test("it is written down before anybody else can see it", async () => {
    let known: Hex[] | undefined;
    proxy.rule("eth_sendRawTransaction", (call, forward) => {
      known = store.find("approve:1")?.hashes;
      expect(store.find("approve:1")?.raw).toBe(call.params[0] as Hex);
      return forward();
    });
    const { transactionHash } = await sender().send(approve(1n));
    expect(known).toEqual([transactionHash]);
  });
});

describe("an RPC that fails", () => {
  const faults: [string, RpcRule, string, number][] = [
    ["loses the request", dropRequest, "CHAIN_UNREACHABLE", 0],
    ["loses the answer", dropReply, "CHAIN_UNREACHABLE", 1],
    ["answers 429", failWith(429), "CHAIN_UNREACHABLE", 0],
    ["answers 500", failWith(500), "CHAIN_UNREACHABLE", 0],
  ];

  test.each(faults)("while sending: %s", async (_name, rule, code, mined) => {
    proxy.rule("eth_sendRawTransaction", rule);
    const error = await expectCode(() => sender().send(approve(7n)), code);
    expect(error.retryable).toBe(true);
    expect(await approvals()).toHaveLength(mined);
    const remembered = store.find("approve:7")!.hashes;
    proxy.rule("eth_sendRawTransaction", undefined);
    const receipt = await sender().send(approve(7n));
    expect([receipt.transactionHash]).toEqual(remembered);
    expect(await approvals()).toEqual([7n]);
  });

  test.each([
    "eth_estimateGas",
    "eth_getBlockByNumber",
    "eth_getTransactionCount",
  ])("before anything is signed (%s): nothing is remembered or sent", async (method) => {
    proxy.rule(method, failWith(429));
    await expectCode(() => sender().send(approve(7n)), "CHAIN_UNREACHABLE");
    expect(store.find("approve:7")).toBeUndefined();
    expect(await nonce()).toBe(0);
  });

  test("while waiting: the transaction is picked up again", async () => {
    proxy.rule("eth_getTransactionReceipt", failWith(500));
    await expectCode(() => sender().send(approve(7n)), "CHAIN_UNREACHABLE");
    proxy.rule("eth_getTransactionReceipt", undefined);
    await sender().send(approve(7n));
    expect(await approvals()).toEqual([7n]);
  });

  test("one lost transaction among many leaves no gap", async () => {
    const one = sender();
    let calls = 0;
    proxy.rule("eth_sendRawTransaction", (call, forward) => (++calls === 3 ? dropRequest(call, forward) : forward()));
    const values = Array.from({ length: 8 }, (_, index) => BigInt(index + 1));
    const clock = manualClock();
    const results = await Promise.allSettled(values.map((value) => one.send(approve(value))));
    const failed = values.filter((_, index) => results[index]!.status === "rejected");
    expect(failed).toEqual([3n]);
    const again = sender({ clock });
    const retried = again.send(approve(3n));
    await until("the lost one is mined", async () => (await approvals()).includes(3n), {
      tick: () => clock.advance(5000),
    });
    await retried;
    expect((await approvals()).sort()).toEqual(values);
    expect(await nonce()).toBe(8);
  });
});

describe("an RPC that is behind", () => {
  test("a stale nonce does not stop a running sender", async () => {
    const one = sender();
    await one.send(approve(1n));
    proxy.rule("eth_getTransactionCount", () => ({ result: "0x0" }));
    await one.send(approve(2n));
    await one.send(approve(3n));
    expect(await approvals()).toEqual([1n, 2n, 3n]);
    expect(await nonce()).toBe(3);
  });

  test("a stale nonce after a restart costs time, not a second transaction", async () => {
    await sender().send(approve(1n));
    const clock = manualClock();
    let stale = true;
    proxy.rule("eth_getTransactionCount", (_call, forward) => (stale ? { result: "0x0" } : forward()));
    const sending = sender({ clock }).send(approve(2n));
    await until("it was signed with the used nonce", () => store.find("approve:2"));
    expect(store.find("approve:2")?.nonce).toBe(0);
    stale = false;
    await until("it is mined", async () => (await approvals()).includes(2n), { tick: () => clock.advance(1000) });
    expect((await sending).status).toBe("success");
    expect(await approvals()).toEqual([1n, 2n]);
    expect(store.find("approve:2")).toMatchObject({ nonce: 1, status: "succeeded" });
  });

  test("a receipt that shows up late is waited for, also after a restart", async () => {
    proxy.rule("eth_getTransactionReceipt", () => ({ result: null }));
    const clock = manualClock();
    const leaving = new AbortController();
    const sending = sender({ clock }).send(approve(5n), leaving.signal);
    await until("it is mined", async () => (await nonce()) === 1);
    await until("somebody waits for the receipt", () => clock.sleeping().length > 0);
    leaving.abort(new DOMException("stop", "AbortError"));
    await expect(sending).rejects.toThrow("stop");
    const resumed = sender({ clock }).send(approve(5n));
    await until("it sleeps", () => clock.sleeping().length > 0);
    clock.advance(15_000);
    await until("it sleeps again", () => clock.sleeping().length > 0);
    proxy.rule("eth_getTransactionReceipt", undefined);
    clock.advance(15_000);
    expect((await resumed).status).toBe("success");
    expect(await approvals()).toEqual([5n]);
    expect(await nonce()).toBe(1);
  });
});

describe("a transaction that is not mined", () => {
  test("is replaced after 20 s by one with both fees at least 12.5 % higher, and whichever is mined counts", async () => {
    for (const winner of [0, 1]) {
      const value = BigInt(winner + 1);
      const pool = holdTransactions(proxy);
      const clock = manualClock();
      const started = clock.now();
      const sending = sender({ clock }).send(approve(value));
      await until("it waits", () => clock.sleeping().length > 0);
      while (clock.now() < started + 19_000) {
        clock.advance(1000);
        await until("it waits", () => clock.sleeping().length > 0);
        expect(pool.held).toHaveLength(1);
      }
      await until("it is replaced", () => pool.held.length === 2, { tick: () => clock.advance(100) });
      expect(clock.now() - started).toBeWithin(20_000, 22_000);
      const [before, after] = pool.held.map((raw) => parseTransaction(raw));
      expect(after!.nonce).toBe(before!.nonce!);
      expect(after!.data).toBe(before!.data!);
      expect(after!.to).toBe(before!.to!);
      expect(after!.gas).toBe(before!.gas!);
      expect(after!.maxFeePerGas! * 8n).toBeGreaterThanOrEqual(before!.maxFeePerGas! * 9n);
      expect(after!.maxPriorityFeePerGas! * 8n).toBeGreaterThanOrEqual((before!.maxPriorityFeePerGas ?? 0n) * 9n);
      expect(after!.maxPriorityFeePerGas!).toBeGreaterThan(before!.maxPriorityFeePerGas ?? 0n);
      const { hashes } = store.find(`approve:${value}`)!;
      expect(hashes).toEqual(pool.held.map((raw) => keccak256(raw)));
      await pool.release(pool.held[winner]!);
      const receipt = await until("the receipt is found", () => settled(sending), { tick: () => clock.advance(100) });
      expect(receipt.transactionHash).toBe(hashes[winner]!);
    }
    expect(await approvals()).toEqual([1n, 2n]);
  });

  test("is replaced after a restart too, at a fee above its last one", async () => {
    const pool = holdTransactions(proxy);
    const clock = manualClock();
    const leaving = new AbortController();
    const sending = sender({ clock }).send(approve(1n), leaving.signal);
    await until("it is sent", () => pool.held.length === 1 && clock.sleeping().length > 0);
    leaving.abort(new DOMException("stop", "AbortError"));
    await expect(sending).rejects.toThrow("stop");
    const resumed = sender({ clock }).send(approve(1n));
    await until("the same bytes are sent again", () => pool.held.length === 2);
    expect(pool.held[1]).toBe(pool.held[0]!);
    await until("it is replaced", () => pool.held.length === 3, { tick: () => clock.advance(1000) });
    const [first, , third] = pool.held.map((raw) => parseTransaction(raw));
    expect(third!.nonce).toBe(first!.nonce!);
    expect(third!.maxFeePerGas! * 8n).toBeGreaterThanOrEqual(first!.maxFeePerGas! * 9n);
    await pool.release(pool.held[2]!);
    await until("it is mined", () => settled(resumed), { tick: () => clock.advance(100) });
    expect(await approvals()).toEqual([1n]);
  });

  test("at the fee cap it is waited for, and not sent any more", async () => {
    const pool = holdTransactions(proxy);
    const clock = manualClock();
    const sending = sender({ clock, maxFeePerGas: parseGwei("0.2") }).send(approve(1n));
    await until("it waits", () => clock.sleeping().length > 0);
    for (let second = 0; second < 65; second++) {
      clock.advance(1000);
      await until("it waits", () => clock.sleeping().length > 0);
    }
    expect(pool.held).toHaveLength(1);
    await pool.release(pool.held[0]!);
    await until("it is mined", () => settled(sending), { tick: () => clock.advance(100) });
    expect(await approvals()).toEqual([1n]);
  });

  test("when another wallet program used its nonce, it is sent anew with the next one", async () => {
    const pool = holdTransactions(proxy);
    const leaving = new AbortController();
    const first = sender().send(approve(1n), leaving.signal);
    await until("it is sent", () => pool.held.length === 1);
    leaving.abort(new DOMException("stop", "AbortError"));
    await expect(first).rejects.toThrow("stop");
    proxy.rule("eth_sendRawTransaction", undefined);
    await network.sender(account).send(approve(99n));
    const clock = manualClock();
    const resumed = sender({ clock }).send(approve(1n));
    const receipt = await until("it is mined", () => settled(resumed), { tick: () => clock.advance(1000) });
    expect(receipt.status).toBe("success");
    expect(await approvals()).toEqual([99n, 1n]);
    expect(store.find("approve:1")).toMatchObject({ nonce: 1, status: "succeeded", hashes: [receipt.transactionHash] });
  });
});

describe("what must not be sent", () => {
  test("a call that the contract refuses: its error by name, and nothing is spent", async () => {
    const call = contractCall({
      address: network.addresses.nodeRegistry,
      abi: nodeRegistryAbi,
      functionName: "heartbeat",
      args: [],
    });
    const error = await expectCode(
      () => sender().send({ purpose: "heartbeat", action: "send a heartbeat", call }),
      "CHAIN_REVERTED",
    );
    expect(error.message).toBe("Cannot send a heartbeat: the contract refuses it (NotRegistered)");
    expect(error.retryable).toBe(false);
    expect(store.find("heartbeat")).toBeUndefined();
    expect(proxy.calls.map(({ method }) => method)).not.toContain("eth_sendRawTransaction");
    expect(await nonce()).toBe(0);
  });

  test("a call for which the wallet has not enough ether", async () => {
    account = await network.account(1000n);
    const error = await expectCode(() => sender().send(approve(1n)), "CHAIN_INSUFFICIENT_FUNDS");
    expect(error.message).toContain("Cannot approve");
    expect(await nonce()).toBe(0);
  });

  test("a call above the fee cap", async () => {
    const error = await expectCode(
      () => sender({ maxFeePerGas: parseGwei("0.09") }).send(approve(1n)),
      "CHAIN_FEE_ABOVE_CAP",
    );
    expect(error.message).toBe("The network asks for 0.1 gwei per gas, the cap is 0.09");
    expect(error.retryable).toBe(true);
    expect(store.find("approve:1")).toBeUndefined();
    expect(await nonce()).toBe(0);
  });

  test("what was aborted before its turn came", async () => {
    const leaving = new AbortController();
    const one = sender();
    const sends = [1n, 2n, 3n].map((value) => one.send(approve(value), leaving.signal));
    leaving.abort(new DOMException("stop", "AbortError"));
    const results = await Promise.allSettled(sends);
    expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    expect(await nonce()).toBe(0);
    expect(store.find("approve:1")).toBeUndefined();
  });
});

describe("after an abort", () => {
  test("the transaction is remembered and its receipt found by the next run", async () => {
    const leaving = new AbortController();
    proxy.rule("eth_sendRawTransaction", async (_call, forward) => {
      const answer = await forward();
      leaving.abort(new DOMException("stop", "AbortError"));
      return answer;
    });
    proxy.rule("eth_getTransactionReceipt", () => ({ result: null }));
    await expect(sender().send(approve(1n), leaving.signal)).rejects.toThrow("stop");
    expect(store.find("approve:1")?.status).toBe("pending");
    proxy.rule("eth_getTransactionReceipt", undefined);
    const receipt = await sender().send(approve(1n));
    expect(store.find("approve:1")).toMatchObject({ status: "succeeded", hashes: [receipt.transactionHash] });
    expect(await approvals()).toEqual([1n]);
  });
});

test("a transaction that reverts in its block is an error, and the next call sends a new one", async () => {
  const { blind } = network.addresses;
  const call = contractCall({
    address: blind,
    abi: blindAbi,
    functionName: "transfer",
    args: [network.addresses.staking, maxUint256],
  });
  const request = { purpose: "transfer", action: "pay", call };
  proxy.rule("eth_estimateGas", () => ({ result: "0x30d40" }));
  const error = await expectCode(() => sender().send(request), "CHAIN_TRANSACTION_REVERTED");
  expect(error.message).toContain(store.find("transfer")!.hashes[0]!);
  expect(store.find("transfer")?.status).toBe("reverted");
  expect(await nonce()).toBe(1);
  await expectCode(() => sender().send(request), "CHAIN_TRANSACTION_REVERTED");
  expect(await nonce()).toBe(2);
});

test("it signs for the chain that it was made for, whatever the RPC says it is", async () => {
  proxy.rule("eth_chainId", () => ({ result: "0x1" }));
  const pool = holdTransactions(proxy);
  const leaving = new AbortController();
  const sending = sender().send(approve(1n), leaving.signal);
  await until("it is sent", () => pool.held.length === 1);
  expect(parseTransaction(pool.held[0]!).chainId).toBe(31_337);
  leaving.abort(new DOMException("stop", "AbortError"));
  await expect(sending).rejects.toThrow("stop");
});

/** What a promise resolved to, if it has; what it was rejected with is thrown. */
async function settled<T>(promise: Promise<T>): Promise<T | undefined> {
  return Promise.race([promise, Promise.resolve(undefined)]);
}
