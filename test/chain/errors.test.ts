import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "bun:test";
import { createWalletClient, http, parseEther } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { blindAbi } from "../../src/chain/abi/blind.ts";
import { stakingAbi } from "../../src/chain/abi/staking.ts";
import { type Chain, createChain } from "../../src/chain/clients.ts";
import { chainError } from "../../src/chain/errors.ts";
import { BlfError } from "../../src/lib/errors.ts";
import { type ChainNetwork, startChainNetwork } from "../helpers/chain-network.ts";
import { dropRequest, failWith, type RpcProxy, type RpcRule, startRpcProxy } from "../helpers/rpc-proxy.ts";

let network: ChainNetwork;
let proxy: RpcProxy;
let chain: Chain;
const poor = privateKeyToAccount(`0x${"5".repeat(64)}`);

beforeAll(async () => {
  network = await startChainNetwork();
});
afterAll(() => network.stop());
beforeEach(async () => {
  proxy = await startRpcProxy(network.url);
  chain = createChain({ rpcUrl: `${proxy.url}/v2/secret-api-key`, chainId: 31_337 });
});
afterEach(() => proxy.stop());

/** What becomes of an action's error, as plain values. */
async function described(action: () => Promise<unknown>) {
  const error = await action().then(
    () => new Error("it worked"),
    (reason: unknown) => reason,
  );
  const { code, message, hint, retryable } = chainError(error, "do it");
  expect(`${message}${hint}`).not.toContain("secret-api-key");
  expect(`${message}${hint}`).not.toMatch(/[\n\u001b\u202e]/);
  return { code, message, retryable };
}

const read = () => chain.client.getGasPrice();
const estimate = (functionName: "completeUnstake" | "initiateUnstake") =>
  chain.client.estimateContractGas({
    address: network.addresses.staking,
    abi: stakingAbi,
    functionName,
    account: poor.address,
  });

test("a custom error by its name, a reason by its text", async () => {
  const { blind } = network.addresses;
  const transfer = () =>
    chain.client.estimateContractGas({
      address: blind,
      abi: blindAbi,
      functionName: "transfer",
      args: [network.addresses.staking, 5n],
      account: poor.address,
    });
  expect(await described(transfer)).toEqual({
    code: "CHAIN_REVERTED",
    message: "Cannot do it: the contract refuses it (ERC20InsufficientBalance)",
    retryable: false,
  });
  proxy.rule("eth_estimateGas", () => ({
    error: {
      code: 3,
      message: "execution reverted: no \u001b[31mreason",
      data: `0x08c379a0${"20".padStart(64, "0")}${"9".padStart(64, "0")}${Buffer.from("no \u001b[31m\n").toString("hex").padEnd(64, "0")}`,
    },
  }));
  expect(await described(() => estimate("initiateUnstake"))).toEqual({
    code: "CHAIN_REVERTED",
    message: "Cannot do it: the contract refuses it (no \\u001b[31m\\u000a)",
    retryable: false,
  });
});

test("no money for the gas", async () => {
  const wallet = createWalletClient({ chain: chain.client.chain!, transport: http(proxy.url), account: poor });
  const send = () => wallet.sendTransaction({ to: network.addresses.blind, value: parseEther("1") });
  expect(await described(send)).toMatchObject({ code: "CHAIN_INSUFFICIENT_FUNDS", retryable: false });
});

const unreachable: [string, RpcRule][] = [
  ["hangs up", dropRequest],
  ["answers 429", failWith(429)],
  ["answers 502", failWith(502)],
];
test.each(unreachable)("an RPC that %s can be tried again", async (_name, rule) => {
  proxy.rule("eth_gasPrice", rule);
  expect(await described(read)).toEqual({
    code: "CHAIN_UNREACHABLE",
    message: "Cannot do it: the RPC does not answer",
    retryable: true,
  });
});

test("what the RPC says is shown, harmless and short", async () => {
  proxy.rule("eth_gasPrice", () => ({ error: { code: -32_000, message: `busy\n\u001b[2J${"x".repeat(1000)}` } }));
  const { code, message, retryable } = await described(read);
  expect({ code, retryable }).toEqual({ code: "CHAIN_REFUSED", retryable: true });
  expect(message).toStartWith("Cannot do it: the RPC refuses it (busy\\u000a\\u001b[2Jxxx");
  expect(message.length).toBeLessThan(250);
});

test("our own errors stay what they are", () => {
  const own = new BlfError({ code: "X", message: "m", hint: "h" });
  expect(chainError(own, "do it")).toBe(own);
});
