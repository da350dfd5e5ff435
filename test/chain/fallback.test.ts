import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { blindAbi } from "../../src/chain/abi/blind.ts";
import { assertChainId, type Chain, createChain } from "../../src/chain/clients.ts";
import { contractCall } from "../../src/chain/contract-call.ts";
import { expectCode } from "../crypto/expect-code.ts";
import { type ChainNetwork, startChainNetwork } from "../helpers/chain-network.ts";
import { dropReply, dropRequest, failWith, type RpcProxy, startRpcProxy } from "../helpers/rpc-proxy.ts";

let network: ChainNetwork;
let first: RpcProxy;
let second: RpcProxy;
let chain: Chain;

beforeAll(async () => {
  network = await startChainNetwork();
});
afterAll(() => network.stop());
beforeEach(async () => {
  first = await startRpcProxy(network.url);
  second = await startRpcProxy(network.url);
  chain = createChain({ rpcUrl: first.url, fallbackUrls: [`${second.url}/v2/secret-key`], chainId: 31_337 });
});
afterEach(async () => {
  await first.stop();
  await second.stop();
});

const methods = (proxy: RpcProxy) => proxy.calls.map(({ method }) => method);

/** Makes every call of a proxy fail the same way. */
function breakAll(proxy: RpcProxy, rule = dropRequest): void {
  for (const method of ["eth_chainId", "eth_blockNumber", "eth_getBlockByNumber", "eth_estimateGas"])
    proxy.rule(method, rule);
}

describe("several RPCs", () => {
  test("the first one is asked while it answers", async () => {
    await chain.client.getBlockNumber();
    await chain.client.getBlockNumber();
    expect(methods(first)).toEqual(["eth_chainId", "eth_blockNumber", "eth_blockNumber"]);
    expect(second.calls).toEqual([]);
  });

  test.each([
    ["hangs up", dropRequest],
    ["is overloaded", failWith(429)],
    ["is broken", failWith(503)],
  ])("the next one is asked when it %s", async (_name, rule) => {
    breakAll(first, rule);
    expect(await chain.client.getBlockNumber()).toBe(await network.chain.client.getBlockNumber());
    expect(methods(second)).toEqual(["eth_chainId", "eth_blockNumber"]);
  });

  test("one that serves another chain is never believed, even when it comes back later", async () => {
    breakAll(second);
    await assertChainId(chain);
    second.rule("eth_chainId", () => ({ result: "0x1" }));
    second.rule("eth_blockNumber", () => ({ result: "0x7fffffff" }));
    breakAll(first);
    const error = await expectCode(
      async () =>
        network.sender(await network.account(), { chain }).send({ purpose: "p", action: "approve", call: approval() }),
      "CHAIN_WRONG_ID",
    );
    expect(error.message).toBe(`The RPC at ${second.url} serves chain 1, not 31337`);
    expect(methods(second)).not.toContain("eth_blockNumber");
    expect(methods(second)).not.toContain("eth_sendRawTransaction");
  });

  test("assertChainId asks each of them", async () => {
    await assertChainId(chain);
    expect([methods(first), methods(second)]).toEqual([["eth_chainId"], ["eth_chainId"]]);
    second.rule("eth_chainId", () => ({ result: "0x66eee" }));
    const error = await expectCode(() => assertChainId(chain), "CHAIN_WRONG_ID");
    expect(error.message).toBe(`The RPC at ${second.url} serves chain 421614, not 31337`);
    breakAll(first);
    breakAll(second);
    await expectCode(() => assertChainId(chain), "CHAIN_UNREACHABLE");
  });

  test("a transaction whose reply is lost is sent to the next one too, and mined once", async () => {
    first.rule("eth_sendRawTransaction", dropReply);
    const account = await network.account();
    const receipt = await network
      .sender(account, { chain })
      .send({ purpose: "p", action: "approve", call: approval() });
    expect(receipt.status).toBe("success");
    expect(methods(second)).toContain("eth_sendRawTransaction");
    expect(await network.chain.client.getTransactionCount({ address: account.address })).toBe(1);
  });

  test("what the contract refuses is refused once", async () => {
    const account = await network.account();
    const { blind, staking } = network.addresses;
    const call = contractCall({ address: blind, abi: blindAbi, functionName: "transfer", args: [staking, 1n] });
    const error = await expectCode(
      () => network.sender(account, { chain }).send({ purpose: "p", action: "pay", call }),
      "CHAIN_REVERTED",
    );
    expect(error.message).toContain("ERC20InsufficientBalance");
  });
});

function approval() {
  const { blind, staking } = network.addresses;
  return contractCall({ address: blind, abi: blindAbi, functionName: "approve", args: [staking, 1n] });
}
