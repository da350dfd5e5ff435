import { createPublicClient, defineChain, http, type PublicClient } from "viem";
import { BlfError } from "../lib/errors.ts";
import { safeOrigin } from "../lib/http.ts";
import { chainError } from "./errors.ts";

export type ChainOptions = { rpcUrl: string; chainId: number; explorer?: string | undefined };

/** Chains that mine a transaction as soon as it arrives: the devnet and anvil. */
const instantChains = new Set([31_337]);

export type Chain = {
  client: PublicClient;
  chainId: number;
  explorer: string | undefined;
  /** How often a receipt is asked for, in milliseconds. */
  pollMs: number;
};

/** A client that puts calls of the same moment into one HTTP request. Nothing is sent until the first call. */
export function createChain(options: ChainOptions): Chain {
  const chain = defineChain({
    id: options.chainId,
    name: `chain ${options.chainId}`,
    nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
    rpcUrls: { default: { http: [options.rpcUrl] } },
  });
  const pollMs = instantChains.has(options.chainId) ? 15 : 500;
  const client = createPublicClient({
    chain,
    transport: http(options.rpcUrl, { batch: { wait: 0 }, timeout: 15_000, retryCount: 1, retryDelay: 250 }),
    pollingInterval: pollMs,
    cacheTime: 0,
  });
  return { client, chainId: options.chainId, explorer: options.explorer, pollMs };
}

/**
 * Makes sure that the RPC serves the chain it should: a transaction signed for the wrong one is lost money.
 * @throws BlfError `CHAIN_WRONG_ID`, `CHAIN_UNREACHABLE`
 */
export async function assertChainId(chain: Chain): Promise<void> {
  const actual = await chain.client.getChainId().catch((error: unknown) => {
    throw chainError(error, "read the chain id");
  });
  if (actual === chain.chainId) return;
  throw new BlfError({
    code: "CHAIN_WRONG_ID",
    message: `The RPC at ${safeOrigin(chain.client.transport["url"] as string)} serves chain ${actual}, not ${chain.chainId}`,
    hint: "Set rpc_url to an endpoint of the right chain, or network and cofhe_chain_id to match it.",
  });
}

/** Where a person can look at a transaction, if the network has an explorer. */
export function transactionLink(chain: Chain, hash: string): string | undefined {
  return chain.explorer ? `${chain.explorer}/tx/${hash}` : undefined;
}
