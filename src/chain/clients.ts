import { createPublicClient, defineChain, http, type PublicClient, type Transport } from "viem";
import { createBoundedFetch } from "../lib/bounded-fetch.ts";
import { type Circuits, createCircuits } from "../lib/circuit.ts";
import { systemClock } from "../lib/clock.ts";
import { BlfError } from "../lib/errors.ts";
import { safeOrigin } from "../lib/http.ts";
import { chainError } from "./errors.ts";
import { firstThatAnswers } from "./rpc-fallback.ts";

export type ChainOptions = {
  rpcUrl: string;
  /** Asked in this order when the first does not answer. */
  fallbackUrls?: readonly string[];
  chainId: number;
  explorer?: string | undefined;
  /** For each request, in milliseconds. Whoever sets it does not want to wait, so nothing is asked twice. */
  timeoutMs?: number;
  /** What is known of each RPC; matters where there are several. */
  circuits?: Circuits;
};

/** There are other RPCs to ask meanwhile. */
const patience = { threshold: 2, initialMs: 5000, maxMs: 60_000, maxRetryAfterMs: 60_000 };

/** Logs of many blocks are the largest answers. */
const maxAnswerBytes = 32 * 1024 * 1024;

/** Chains that mine a transaction as soon as it arrives: the devnet and anvil. */
const instantChains = new Set([31_337]);

export type Chain = {
  client: PublicClient;
  /** What the client asks through, for others who speak to the same chain. */
  transport?: Transport;
  chainId: number;
  explorer: string | undefined;
  /** How often a receipt is asked for, in milliseconds. */
  pollMs: number;
  /** Each RPC by itself, the first one first. */
  endpoints: readonly RpcEndpoint[];
};

export type RpcEndpoint = {
  /** Scheme, host and port: the rest of a URL can hold a key. */
  origin: string;
  /** The chain that it serves, by its own word. */
  chainId(): Promise<number>;
};

/**
 * A client that puts calls of the same moment into one HTTP request. With several URLs, each call goes to the first one that
 * answers it, and none is believed before it has said that it serves this chain. Nothing is sent until the first call.
 */
export function createChain(options: ChainOptions): Chain {
  const urls = [...new Set([options.rpcUrl, ...(options.fallbackUrls ?? [])])];
  const chain = defineChain({
    id: options.chainId,
    name: `chain ${options.chainId}`,
    nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
    rpcUrls: { default: { http: urls } },
  });
  const pollMs = instantChains.has(options.chainId) ? 15 : 500;
  const isAlone = urls.length === 1;
  const circuits = options.circuits ?? createCircuits({ clock: systemClock });
  // Looked up at each request: whoever replaces the global one, replaces it here too.
  const fetchFn = createBoundedFetch((url, init) => globalThis.fetch(url, init), maxAnswerBytes);
  const single = urls.map((url) =>
    http(url, {
      batch: { wait: 0 },
      fetchFn,
      timeout: options.timeoutMs ?? 15_000,
      retryCount: isAlone && options.timeoutMs === undefined ? 1 : 0,
      retryDelay: 250,
    }),
  );
  const transport = isAlone
    ? single[0]!
    : firstThatAnswers(
        single.map((one, index) => {
          const origin = safeOrigin(urls[index]!);
          return {
            transport: onlyOfChain(one, options.chainId, origin),
            circuit: circuits.of(`rpc ${origin}`, patience),
          };
        }),
      );
  const common = { chain, pollingInterval: pollMs, cacheTime: 0 };
  const endpoints = single.map((one, index) => ({
    origin: safeOrigin(urls[index]!),
    chainId: () => createPublicClient({ ...common, transport: one }).getChainId(),
  }));
  const client = createPublicClient({ ...common, transport });
  return { client, transport, chainId: options.chainId, explorer: options.explorer, pollMs, endpoints };
}

/**
 * Makes sure that the RPC serves the chain it should: a transaction signed for the wrong one is lost money. Of several RPCs each one
 * that answers must, and one must answer.
 * @throws BlfError `CHAIN_WRONG_ID`, `CHAIN_UNREACHABLE`
 */
export async function assertChainId(chain: Chain): Promise<void> {
  const answers = await Promise.allSettled(chain.endpoints.map((endpoint) => endpoint.chainId()));
  for (const [index, answer] of answers.entries())
    if (answer.status === "fulfilled" && answer.value !== chain.chainId)
      throw wrongChain(chain.endpoints[index]!.origin, answer.value, chain.chainId);
  const [first] = answers;
  if (first?.status === "rejected" && answers.every(({ status }) => status === "rejected"))
    throw chainError(first.reason, "read the chain id");
}

/** Where a person can look at a transaction, if the network has an explorer. */
export function transactionLink(chain: Chain, hash: string): string | undefined {
  return chain.explorer ? `${chain.explorer}/tx/${hash}` : undefined;
}

/** A transport that asks for the chain before its first call, however late that comes, and fails while the answer is wrong. */
function onlyOfChain(transport: Transport, expected: number, origin: string): Transport {
  let checked: Promise<void> | undefined;
  return (parameters) => {
    const inner = transport(parameters);
    const check = async (): Promise<void> => {
      const actual = Number(await inner.request({ method: "eth_chainId" }));
      if (actual !== expected) throw wrongChain(origin, actual, expected);
    };
    const request = async (call: { method: string; params?: unknown }): Promise<unknown> => {
      checked ??= check().catch((error: unknown) => {
        checked = undefined;
        throw error;
      });
      await checked;
      return inner.request(call);
    };
    return { ...inner, request: request as typeof inner.request };
  };
}

function wrongChain(origin: string, actual: number, expected: number): BlfError {
  return new BlfError({
    code: "CHAIN_WRONG_ID",
    message: `The RPC at ${origin} serves chain ${actual}, not ${expected}`,
    hint: "Set rpc_url to an endpoint of the right chain, or network and cofhe_chain_id to match it.",
  });
}
