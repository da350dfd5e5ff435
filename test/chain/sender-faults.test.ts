import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { expectCode } from "../crypto/expect-code.ts";
import { manualClock } from "../helpers/manual-clock.ts";
import { dropReply, dropRequest, failWith, holdTransactions, type RpcRule } from "../helpers/rpc-proxy.ts";
import { until } from "../helpers/until.ts";
import { settled, useApprovals } from "./approvals.ts";

setDefaultTimeout(30_000);

const t = useApprovals();

describe("an RPC that fails", () => {
  const faults: [string, RpcRule, string, number][] = [
    ["loses the request", dropRequest, "CHAIN_UNREACHABLE", 0],
    ["loses the answer", dropReply, "CHAIN_UNREACHABLE", 1],
    ["answers 429", failWith(429), "CHAIN_UNREACHABLE", 0],
    ["answers 500", failWith(500), "CHAIN_UNREACHABLE", 0],
  ];

  test.each(faults)("while sending: %s", async (_name, rule, code, mined) => {
    t.proxy.rule("eth_sendRawTransaction", rule);
    const error = await expectCode(() => t.sender().send(t.approve(7n)), code);
    expect(error.retryable).toBe(true);
    expect(await t.mined()).toHaveLength(mined);
    const remembered = t.store.find("approve:7")!.hashes;
    t.proxy.rule("eth_sendRawTransaction", undefined);
    const receipt = await t.sender().send(t.approve(7n));
    expect([receipt.transactionHash]).toEqual(remembered);
    expect(await t.mined()).toEqual([7n]);
  });

  test.each([
    "eth_estimateGas",
    "eth_getBlockByNumber",
    "eth_getTransactionCount",
  ])("before anything is signed (%s): nothing is remembered or sent", async (method) => {
    t.proxy.rule(method, failWith(429));
    await expectCode(() => t.sender().send(t.approve(7n)), "CHAIN_UNREACHABLE");
    expect(t.store.find("approve:7")).toBeUndefined();
    expect(await t.nonce()).toBe(0);
  });

  test("while waiting: the transaction is picked up again", async () => {
    t.proxy.rule("eth_getTransactionReceipt", failWith(500));
    await expectCode(() => t.sender().send(t.approve(7n)), "CHAIN_UNREACHABLE");
    t.proxy.rule("eth_getTransactionReceipt", undefined);
    await t.sender().send(t.approve(7n));
    expect(await t.mined()).toEqual([7n]);
  });

  test("one lost transaction among many leaves no gap", async () => {
    const one = t.sender();
    let calls = 0;
    t.proxy.rule("eth_sendRawTransaction", (call, forward) => (++calls === 3 ? dropRequest(call, forward) : forward()));
    const values = Array.from({ length: 8 }, (_, index) => BigInt(index + 1));
    const clock = manualClock();
    const results = await Promise.allSettled(values.map((value) => one.send(t.approve(value))));
    const failed = values.filter((_, index) => results[index]!.status === "rejected");
    expect(failed).toEqual([3n]);
    const again = t.sender({ clock });
    const retried = again.send(t.approve(3n));
    await until("the lost one is mined", async () => (await t.mined()).includes(3n), {
      tick: () => clock.advance(5000),
    });
    await retried;
    expect((await t.mined()).sort()).toEqual(values);
    expect(await t.nonce()).toBe(8);
  });
});

describe("an RPC that is behind", () => {
  test("a stale nonce does not stop a running sender", async () => {
    const one = t.sender();
    await one.send(t.approve(1n));
    t.proxy.rule("eth_getTransactionCount", () => ({ result: "0x0" }));
    await one.send(t.approve(2n));
    await one.send(t.approve(3n));
    expect(await t.mined()).toEqual([1n, 2n, 3n]);
    expect(await t.nonce()).toBe(3);
  });

  test("a stale nonce after a restart costs time, not a second transaction", async () => {
    await t.sender().send(t.approve(1n));
    const clock = manualClock();
    let stale = true;
    t.proxy.rule("eth_getTransactionCount", (_call, forward) => (stale ? { result: "0x0" } : forward()));
    const sending = t.sender({ clock }).send(t.approve(2n));
    await until("it was signed with the used nonce", () => t.store.find("approve:2"));
    expect(t.store.find("approve:2")?.nonce).toBe(0);
    stale = false;
    await until("it is mined", async () => (await t.mined()).includes(2n), { tick: () => clock.advance(1000) });
    expect((await sending).status).toBe("success");
    expect(await t.mined()).toEqual([1n, 2n]);
    expect(t.store.find("approve:2")).toMatchObject({ nonce: 1, status: "succeeded" });
  });

  test("a receipt that shows up late is waited for, also after a restart", async () => {
    t.proxy.rule("eth_getTransactionReceipt", () => ({ result: null }));
    const clock = manualClock();
    const leaving = new AbortController();
    const sending = t.sender({ clock }).send(t.approve(5n), leaving.signal);
    await until("it is mined", async () => (await t.nonce()) === 1);
    await until("somebody waits for the receipt", () => clock.sleeping().length > 0);
    leaving.abort(new DOMException("stop", "AbortError"));
    await expect(sending).rejects.toThrow("stop");
    const resumed = t.sender({ clock }).send(t.approve(5n));
    await until("it sleeps", () => clock.sleeping().length > 0);
    clock.advance(15_000);
    await until("it sleeps again", () => clock.sleeping().length > 0);
    t.proxy.rule("eth_getTransactionReceipt", undefined);
    clock.advance(15_000);
    expect((await resumed).status).toBe("success");
    expect(await t.mined()).toEqual([5n]);
    expect(await t.nonce()).toBe(1);
  });

  test("a nonce that is used up proves nothing before the receipt had time to show up", async () => {
    const pool = holdTransactions(t.proxy);
    t.proxy.rule("eth_getTransactionReceipt", () => ({ result: null }));
    const clock = manualClock();
    const sending = t.sender({ clock }).send(t.approve(5n));
    await until("it waits", () => clock.sleeping().length > 0);
    await pool.release(pool.held[0]!);
    const looks = () => t.proxy.calls.filter(({ method }) => method === "eth_getTransactionCount").length;
    const before = looks();
    await until("it looks at the nonce", () => looks() > before, { tick: () => clock.advance(1000) });
    await until("it waits again", () => clock.sleeping().length > 0);
    t.proxy.rule("eth_getTransactionReceipt", undefined);
    expect((await until("it is found", () => settled(sending), { tick: () => clock.advance(1000) })).status).toBe(
      "success",
    );
    expect(pool.held).toHaveLength(1);
    expect(await t.mined()).toEqual([5n]);
  });
});
