import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startEvm } from "../../../src/devnet/evm/server.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { startTestEvm } from "./chain.ts";

describe("JSON-RPC", () => {
  let chain: Awaited<ReturnType<typeof startTestEvm>>;
  beforeAll(async () => {
    chain = await startTestEvm();
  });
  afterAll(() => chain.evm.stop());

  const call = (method: string, id: unknown = 1) => ({ jsonrpc: "2.0", id, method, params: [] });
  const answerTo = async (body: unknown) => (await chain.post(JSON.stringify(body))).json();

  test("what is not JSON, not a request, or not a method has its own error", async () => {
    expect(await (await chain.post("{")).json()).toMatchObject({ id: null, error: { code: -32700 } });
    expect(await answerTo({ id: 7, method: 3 })).toMatchObject({ id: 7, error: { code: -32600 } });
    expect(await answerTo("text")).toMatchObject({ id: null, error: { code: -32600 } });
    expect(await answerTo([])).toMatchObject({ id: null, error: { code: -32600 } });
    for (const method of ["eth_coinbase", "constructor", "__proto__", "toString"])
      expect(await answerTo(call(method, "x"))).toMatchObject({ id: "x", error: { code: -32601 } });
    expect(await answerTo({ ...call("eth_chainId"), params: {} })).toMatchObject({ error: { code: -32602 } });
  });

  test("a batch is answered in its order, and notifications are not answered", async () => {
    const batch = [
      call("eth_chainId", 1),
      call("nope", 2),
      { jsonrpc: "2.0", method: "net_version" },
      call("net_version", 3),
    ];
    expect(await answerTo(batch)).toEqual([
      { jsonrpc: "2.0", id: 1, result: "0x7a69" },
      { jsonrpc: "2.0", id: 2, error: { code: -32601, message: expect.stringContaining("nope") } },
      { jsonrpc: "2.0", id: 3, result: "31337" },
    ]);
    const silent = await chain.post(JSON.stringify({ jsonrpc: "2.0", method: "net_version" }));
    expect(silent.status).toBe(204);
  });

  test("arguments that make no sense are refused, not guessed", async () => {
    const wrong: [string, ...unknown[]][] = [
      ["eth_getBalance", "0x12", "latest"],
      ["eth_getBalance"],
      ["eth_getBalance", chain.alice.address, "soon"],
      ["eth_getTransactionReceipt", "0x12"],
      ["eth_sendRawTransaction", "0xabc"],
      ["eth_call", { to: chain.alice.address, value: 5 }],
      ["eth_call", { to: chain.alice.address }, "latest", { [chain.alice.address]: { balance: "0x1" } }],
      ["evm_increaseTime", -1],
      ["evm_increaseTime", "0xffffffffffffffff"],
      ["evm_mine", "0xffffff"],
      ["eth_getBalance", chain.alice.address, "latest", "more"],
    ];
    const answers = await Promise.all(wrong.map(([method, ...params]) => chain.rpc(method, ...params)));
    const codes = answers.map(({ error }) => error?.code);
    expect(codes).toEqual(Array(wrong.length).fill(-32602));
  });

  test("a body beyond the limit is not read", async () => {
    const response = await chain.post("x".repeat(3 * 1024 * 1024));
    expect(response.status).toBe(413);
  });

  test("pages of a browser and rebound names are turned away", async () => {
    const body = JSON.stringify(call("eth_chainId"));
    expect((await chain.post(body, { origin: "https://example.com" })).status).toBe(403);
    expect((await chain.post(body, { host: "example.com" })).status).toBe(403);
    expect((await fetch(chain.evm.url)).status).toBe(405);
    expect((await chain.post(body)).status).toBe(200);
  });

  test("a port that is taken is an error with a remedy", async () => {
    const second = startEvm({ port: chain.evm.port, clock: systemClock, genesis: {} });
    await expect(second).rejects.toMatchObject({ name: "BlfError", code: "DEVNET_PORT_TAKEN" });
    const impossible = startEvm({ port: 70_000, clock: systemClock, genesis: {} });
    await expect(impossible).rejects.toMatchObject({ name: "BlfError", code: "DEVNET_PORT_UNUSABLE" });
  });

  test("another chain id is what clients see", async () => {
    const other = await startEvm({ port: 0, chainId: 421_614, clock: systemClock, genesis: {} });
    const response = await fetch(other.url, { method: "POST", body: JSON.stringify(call("eth_chainId")) });
    expect(await response.json()).toMatchObject({ result: "0x66eee" });
    await other.stop();
    await expect(fetch(other.url, { method: "POST", body: "{}" })).rejects.toThrow();
  });
});
