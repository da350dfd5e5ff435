import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { assertChainId, createChain, transactionLink } from "../../src/chain/clients.ts";
import { expectCode } from "../crypto/expect-code.ts";
import { type ChainNetwork, startChainNetwork } from "../helpers/chain-network.ts";
import { dropRequest, failWith, type RpcProxy, startRpcProxy } from "../helpers/rpc-proxy.ts";

let network: ChainNetwork;
let proxy: RpcProxy;

beforeAll(async () => {
  network = await startChainNetwork();
});
afterAll(() => network.stop());
beforeEach(async () => {
  proxy = await startRpcProxy(network.url);
});
afterEach(() => proxy.stop());

const chain = (options: { chainId?: number; explorer?: string; path?: string } = {}) =>
  createChain({
    rpcUrl: `${proxy.url}${options.path ?? ""}`,
    chainId: options.chainId ?? 31_337,
    explorer: options.explorer,
  });

describe("assertChainId", () => {
  test("is content with the right chain", async () => {
    await assertChainId(chain());
    expect(proxy.calls.map(({ method }) => method)).toEqual(["eth_chainId"]);
  });

  test("refuses an RPC of another chain, in words without the key that its URL may hold", async () => {
    proxy.rule("eth_chainId", () => ({ result: "0x66eee" }));
    const error = await expectCode(() => assertChainId(chain({ path: "/v2/secret-api-key" })), "CHAIN_WRONG_ID");
    expect(error.message).toBe(`The RPC at ${proxy.url} serves chain 421614, not 31337`);
    expect(error.retryable).toBe(false);
  });

  test.each([
    ["hangs up", dropRequest],
    ["is overloaded", failWith(429)],
    ["is broken", failWith(500)],
    ["answers nonsense", () => ({ result: null })],
    ["answers HTML", () => ({ result: "<html>" })],
  ])("says so when the RPC %s", async (_name, rule) => {
    proxy.rule("eth_chainId", rule);
    const error = await expectCode(() => assertChainId(chain({ path: "/v2/secret-api-key" })), "CHAIN_UNREACHABLE");
    expect(error.retryable).toBe(true);
    expect(error.message).not.toContain("secret-api-key");
  });
});

test("the devnet is polled often, a public chain is not", () => {
  expect(chain().pollMs).toBeLessThanOrEqual(50);
  expect(chain({ chainId: 421_614 }).pollMs).toBeGreaterThanOrEqual(250);
});

test("calls of one moment share a request", async () => {
  let requests = 0;
  const counting = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      requests++;
      return fetch(network.url, { method: "POST", body: await request.text() });
    },
  });
  try {
    const { client } = createChain({ rpcUrl: `http://127.0.0.1:${counting.port}`, chainId: 31_337 });
    await Promise.all([client.getBlockNumber(), client.getGasPrice(), client.getChainId()]);
    expect(requests).toBe(1);
  } finally {
    await counting.stop(true);
  }
});

test("a transaction's link needs an explorer", () => {
  expect(transactionLink(chain({ explorer: "https://sepolia.arbiscan.io" }), "0xab")).toBe(
    "https://sepolia.arbiscan.io/tx/0xab",
  );
  expect(transactionLink(chain(), "0xab")).toBeUndefined();
});
