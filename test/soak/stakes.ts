import { type Address, parseEventLogs } from "viem";
import { promptKeyStoreAbi } from "../../src/chain/abi/prompt-key-store.ts";
import { stakingAbi } from "../../src/chain/abi/staking.ts";
import { createChain } from "../../src/chain/clients.ts";
import type { SoakNetwork } from "./network.ts";

/** What the chain tells at the end. */
export type ChainFacts = {
  /** `Slashed` events. */
  slashes: number;
  /** The most failures in a row that a node ever had; 3 cost the stake. */
  mostFailuresInARow: number;
  /** `recordFailure` calls that counted. */
  recordedFailures: number;
  /** Ids under which more than one key was stored. */
  keysStoredTwice: number;
  /** Transactions of the nodes that were mined and reverted. */
  revertedTransactions: number;
};

export async function readChainFacts(network: SoakNetwork, nodes: readonly Address[]): Promise<ChainFacts> {
  const { client } = createChain({ rpcUrl: network.endpoints.rpc, chainId: network.chainId });
  const { staking, promptKeyStore } = network.addresses;
  const whole = { fromBlock: 0n, toBlock: "latest" } as const;
  const stakingLogs = parseEventLogs({
    abi: stakingAbi,
    logs: await client.getLogs({ address: staking as Address, ...whole }),
  });
  const failures = stakingLogs.filter((log) => log.eventName === "ConsecutiveFailuresUpdated");
  const counts = failures.map(({ args }) => Number(args.count));
  const stored = parseEventLogs({
    abi: promptKeyStoreAbi,
    logs: await client.getLogs({ address: promptKeyStore as Address, ...whole }),
    eventName: "KeyStored",
  });
  const own = new Set(nodes.map((node) => node.toLowerCase()));
  return {
    slashes: stakingLogs.filter(({ eventName }) => eventName === "Slashed").length,
    mostFailuresInARow: Math.max(0, ...counts),
    recordedFailures: counts.filter((count) => count > 0).length,
    keysStoredTwice: stored.length - new Set(stored.map(({ args }) => args.jobId)).size,
    revertedTransactions: await countReverted(client, own),
  };
}

async function countReverted(client: ReturnType<typeof createChain>["client"], own: Set<string>): Promise<number> {
  const last = await client.getBlockNumber();
  let reverted = 0;
  for (let number = 1n; number <= last; number++) {
    const block = await client.getBlock({ blockNumber: number, includeTransactions: true });
    for (const { from, hash } of block.transactions) {
      if (!own.has(from.toLowerCase())) continue;
      const receipt = await client.getTransactionReceipt({ hash });
      if (receipt.status !== "success") reverted++;
    }
  }
  return reverted;
}
