import { createPublicClient, createTestClient, createWalletClient, type Hex, http, parseEther } from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { hardhat } from "viem/chains";
import type { Genesis } from "../../../src/devnet/evm/genesis.ts";
import { startEvm } from "../../../src/devnet/evm/server.ts";
import type { Clock } from "../../../src/lib/clock.ts";

/** A clock that stands still until it is moved; nothing here sleeps by it. */
export function createTestClock(seconds: number): Clock & { seconds: number } {
  return {
    seconds,
    now() {
      return this.seconds * 1000;
    },
    sleep: () => Promise.reject(new Error("no sleep in this test")),
  };
}

export const startOfTime = 1_750_000_000;

/** Our EVM with two rich accounts, at a time that the test moves. */
export async function startTestEvm(genesis: Genesis = {}) {
  const clock = createTestClock(startOfTime);
  const alice = privateKeyToAccount(generatePrivateKey());
  const bob = privateKeyToAccount(generatePrivateKey());
  const rich = { balance: parseEther("100") };
  const evm = await startEvm({
    port: 0,
    clock,
    genesis: { [alice.address]: rich, [bob.address]: rich, ...genesis },
  });
  const transport = http(evm.url, { retryCount: 0 });
  return {
    evm,
    clock,
    alice,
    bob,
    client: createPublicClient({ chain: hardhat, transport, pollingInterval: 10, cacheTime: 0 }),
    test: createTestClient({ chain: hardhat, mode: "ganache", transport }),
    wallet: (account = alice) => createWalletClient({ chain: hardhat, transport, account }),
    post: (body: string, headers: Record<string, string> = {}) =>
      fetch(evm.url, { method: "POST", body, headers: { "content-type": "application/json", ...headers } }),
    rpc: async (method: string, ...params: unknown[]): Promise<RpcAnswer> => {
      const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
      const response = await fetch(evm.url, { method: "POST", body });
      return (await response.json()) as RpcAnswer;
    },
  };
}

export type RpcAnswer = { result?: unknown; error?: { code: number; message: string; data?: Hex } };
