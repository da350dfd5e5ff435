import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { type Hex, keccak256, maxUint256, parseGwei, parseTransaction } from "viem";
import { blindAbi } from "../../src/chain/abi/blind.ts";
import { nodeRegistryAbi } from "../../src/chain/abi/node-registry.ts";
import { contractCall } from "../../src/chain/contract-call.ts";
import { expectCode } from "../crypto/expect-code.ts";
import { manualClock } from "../helpers/manual-clock.ts";
import { holdTransactions } from "../helpers/rpc-proxy.ts";
import { until } from "../helpers/until.ts";
import { settled, useApprovals } from "./approvals.ts";

setDefaultTimeout(30_000);

const t = useApprovals();

describe("one transaction per purpose", () => {
  test("a second call, one at the same moment and one after a restart all get the first receipt", async () => {
    const first = t.sender();
    const [a, b] = await Promise.all([first.send(t.approve(1n)), first.send(t.approve(1n))]);
    const c = await first.send(t.approve(1n));
    const d = await t.sender().send(t.approve(1n));
    expect(new Set([a, b, c, d].map(({ transactionHash }) => transactionHash)).size).toBe(1);
    expect(await t.mined()).toEqual([1n]);
    expect(t.store.find("approve:1")).toMatchObject({ status: "succeeded", hashes: [a.transactionHash], nonce: 0 });
  });

  test("fifty sends at once take fifty consecutive nonces", async () => {
    const one = t.sender();
    const values = Array.from({ length: 50 }, (_, index) => BigInt(index + 1));
    const receipts = await Promise.all(values.map((value) => one.send(t.approve(value))));
    expect(receipts.every(({ status }) => status === "success")).toBe(true);
    expect(await t.mined()).toEqual(values);
    expect(values.map((value) => t.store.find(`approve:${value}`)?.nonce)).toEqual(
      values.map((value) => Number(value) - 1),
    );
  });

  test("it is written down before anybody else can see it", async () => {
    let known: Hex[] | undefined;
    t.proxy.rule("eth_sendRawTransaction", (call, forward) => {
      known = t.store.find("approve:1")?.hashes;
      expect(t.store.find("approve:1")?.raw).toBe(call.params[0] as Hex);
      return forward();
    });
    const { transactionHash } = await t.sender().send(t.approve(1n));
    expect(known).toEqual([transactionHash]);
  });
});

describe("a transaction that is not mined", () => {
  test("is replaced after 20 s by one with both fees at least 12.5 % higher, and whichever is mined counts", async () => {
    for (const winner of [0, 1]) {
      const value = BigInt(winner + 1);
      const pool = holdTransactions(t.proxy);
      const clock = manualClock();
      const started = clock.now();
      const sending = t.sender({ clock }).send(t.approve(value));
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
      const { hashes } = t.store.find(`approve:${value}`)!;
      expect(hashes).toEqual(pool.held.map((raw) => keccak256(raw)));
      await pool.release(pool.held[winner]!);
      const receipt = await until("the receipt is found", () => settled(sending), { tick: () => clock.advance(100) });
      expect(receipt.transactionHash).toBe(hashes[winner]!);
    }
    expect(await t.mined()).toEqual([1n, 2n]);
  });

  test("is replaced after a restart too, at a fee above its last one", async () => {
    const pool = holdTransactions(t.proxy);
    const clock = manualClock();
    const leaving = new AbortController();
    const sending = t.sender({ clock }).send(t.approve(1n), leaving.signal);
    await until("it is sent", () => pool.held.length === 1 && clock.sleeping().length > 0);
    leaving.abort(new DOMException("stop", "AbortError"));
    await expect(sending).rejects.toThrow("stop");
    const resumed = t.sender({ clock }).send(t.approve(1n));
    await until("the same bytes are sent again", () => pool.held.length === 2);
    expect(pool.held[1]).toBe(pool.held[0]!);
    await until("it is replaced", () => pool.held.length === 3, { tick: () => clock.advance(1000) });
    const [first, , third] = pool.held.map((raw) => parseTransaction(raw));
    expect(third!.nonce).toBe(first!.nonce!);
    expect(third!.maxFeePerGas! * 8n).toBeGreaterThanOrEqual(first!.maxFeePerGas! * 9n);
    await pool.release(pool.held[2]!);
    await until("it is mined", () => settled(resumed), { tick: () => clock.advance(100) });
    expect(await t.mined()).toEqual([1n]);
  });

  test("at the fee cap it is waited for, and not sent any more", async () => {
    const pool = holdTransactions(t.proxy);
    const clock = manualClock();
    const sending = t.sender({ clock, maxFeePerGas: parseGwei("0.2") }).send(t.approve(1n));
    await until("it waits", () => clock.sleeping().length > 0);
    for (let second = 0; second < 65; second++) {
      clock.advance(1000);
      await until("it waits", () => clock.sleeping().length > 0);
    }
    expect(pool.held).toHaveLength(1);
    await pool.release(pool.held[0]!);
    await until("it is mined", () => settled(sending), { tick: () => clock.advance(100) });
    expect(await t.mined()).toEqual([1n]);
  });

  test("for an earlier one that the chain has dropped and nobody waits for, that one is sent again first", async () => {
    const pool = holdTransactions(t.proxy);
    const clock = manualClock();
    const sender = t.sender({ clock });
    const leaving = new AbortController();
    const given = sender.send(t.approve(1n), leaving.signal);
    await until("it is sent", () => pool.held.length === 1 && clock.sleeping().length > 0);
    leaving.abort(new DOMException("stop", "AbortError"));
    await expect(given).rejects.toThrow("stop");
    const waiting = sender.send(t.approve(2n));
    await until("the second one is sent", () => pool.held.length === 2);
    expect(parseTransaction(pool.held[1]!).nonce).toBe(parseTransaction(pool.held[0]!).nonce! + 1);
    await until("the first one is sent again", () => pool.held.length === 3, { tick: () => clock.advance(1000) });
    expect(parseTransaction(pool.held[2]!).nonce).toBe(parseTransaction(pool.held[0]!).nonce!);
    await pool.release(pool.held[2]!);
    await pool.release(pool.held[1]!);
    await until("both are mined", () => settled(waiting), { tick: () => clock.advance(100) });
    expect(await t.mined()).toEqual([1n, 2n]);
  });

  test("when another wallet program used its nonce, it is sent anew with the next one", async () => {
    const pool = holdTransactions(t.proxy);
    const leaving = new AbortController();
    const first = t.sender().send(t.approve(1n), leaving.signal);
    await until("it is sent", () => pool.held.length === 1);
    leaving.abort(new DOMException("stop", "AbortError"));
    await expect(first).rejects.toThrow("stop");
    t.proxy.rule("eth_sendRawTransaction", undefined);
    await t.network.sender(t.account).send(t.approve(99n));
    const clock = manualClock();
    const resumed = t.sender({ clock }).send(t.approve(1n));
    const receipt = await until("it is mined", () => settled(resumed), { tick: () => clock.advance(1000) });
    expect(receipt.status).toBe("success");
    expect(await t.mined()).toEqual([99n, 1n]);
    expect(t.store.find("approve:1")).toMatchObject({
      nonce: 1,
      status: "succeeded",
      hashes: [receipt.transactionHash],
    });
  });
});

describe("what must not be sent", () => {
  test("a call that the contract refuses: its error by name, and nothing is spent", async () => {
    const call = contractCall({
      address: t.network.addresses.nodeRegistry,
      abi: nodeRegistryAbi,
      functionName: "heartbeat",
      args: [],
    });
    const error = await expectCode(
      () => t.sender().send({ purpose: "heartbeat", action: "send a heartbeat", call }),
      "CHAIN_REVERTED",
    );
    expect(error.message).toBe("Cannot send a heartbeat: the contract refuses it (NotRegistered)");
    expect(error.retryable).toBe(false);
    expect(t.store.find("heartbeat")).toBeUndefined();
    expect(t.proxy.calls.map(({ method }) => method)).not.toContain("eth_sendRawTransaction");
    expect(await t.nonce()).toBe(0);
  });

  test("a call for which the wallet has not enough ether", async () => {
    t.account = await t.network.account(1000n);
    const error = await expectCode(() => t.sender().send(t.approve(1n)), "CHAIN_INSUFFICIENT_FUNDS");
    expect(error.message).toContain("Cannot approve");
    expect(await t.nonce()).toBe(0);
  });

  test("a call above the fee cap", async () => {
    const error = await expectCode(
      () => t.sender({ maxFeePerGas: parseGwei("0.09") }).send(t.approve(1n)),
      "CHAIN_FEE_ABOVE_CAP",
    );
    expect(error.message).toBe("The network asks for 0.1 gwei per gas, the cap is 0.09");
    expect(error.retryable).toBe(true);
    expect(t.store.find("approve:1")).toBeUndefined();
    expect(await t.nonce()).toBe(0);
  });

  test("what was aborted before its turn came", async () => {
    const leaving = new AbortController();
    const one = t.sender();
    const sends = [1n, 2n, 3n].map((value) => one.send(t.approve(value), leaving.signal));
    leaving.abort(new DOMException("stop", "AbortError"));
    const results = await Promise.allSettled(sends);
    expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    expect(await t.nonce()).toBe(0);
    expect(t.store.find("approve:1")).toBeUndefined();
  });
});

describe("after an abort", () => {
  test("the transaction is remembered and its receipt found by the next run", async () => {
    const leaving = new AbortController();
    t.proxy.rule("eth_sendRawTransaction", async (_call, forward) => {
      const answer = await forward();
      leaving.abort(new DOMException("stop", "AbortError"));
      return answer;
    });
    t.proxy.rule("eth_getTransactionReceipt", () => ({ result: null }));
    await expect(t.sender().send(t.approve(1n), leaving.signal)).rejects.toThrow("stop");
    expect(t.store.find("approve:1")?.status).toBe("pending");
    t.proxy.rule("eth_getTransactionReceipt", undefined);
    const receipt = await t.sender().send(t.approve(1n));
    expect(t.store.find("approve:1")).toMatchObject({ status: "succeeded", hashes: [receipt.transactionHash] });
    expect(await t.mined()).toEqual([1n]);
  });
});

test("a transaction that reverts in its block is an error, and the next call sends a new one", async () => {
  const { blind } = t.network.addresses;
  const call = contractCall({
    address: blind,
    abi: blindAbi,
    functionName: "transfer",
    args: [t.network.addresses.staking, maxUint256],
  });
  const request = { purpose: "transfer", action: "pay", call };
  t.proxy.rule("eth_estimateGas", () => ({ result: "0x30d40" }));
  const error = await expectCode(() => t.sender().send(request), "CHAIN_TRANSACTION_REVERTED");
  expect(error.message).toContain(t.store.find("transfer")!.hashes[0]!);
  expect(t.store.find("transfer")?.status).toBe("reverted");
  expect(await t.nonce()).toBe(1);
  await expectCode(() => t.sender().send(request), "CHAIN_TRANSACTION_REVERTED");
  expect(await t.nonce()).toBe(2);
});

test("it signs for the chain that it was made for, whatever the RPC says it is", async () => {
  t.proxy.rule("eth_chainId", () => ({ result: "0x1" }));
  const pool = holdTransactions(t.proxy);
  const leaving = new AbortController();
  const sending = t.sender().send(t.approve(1n), leaving.signal);
  await until("it is sent", () => pool.held.length === 1);
  expect(parseTransaction(pool.held[0]!).chainId).toBe(31_337);
  leaving.abort(new DOMException("stop", "AbortError"));
  await expect(sending).rejects.toThrow("stop");
});
