import {
  type Address,
  createPublicClient,
  custom,
  decodeFunctionData,
  type Hex,
  HttpRequestError,
  keccak256,
  type LocalAccount,
  parseTransaction,
  RpcRequestError,
  serializeTransaction,
} from "viem";
import { promptKeyStoreAbi } from "../../src/chain/abi/prompt-key-store.ts";
import type { Chain } from "../../src/chain/clients.ts";
import { doWork, type Life } from "./life.ts";
import { hits, type World } from "./world.ts";

type Transaction = { hash: Hex; from: Address; nonce: number; fee: bigint; call: Call | undefined };
type Call = { jobId: Hex; high: bigint; low: bigint };
type Mined = { transaction: Transaction; block: number };

/** A model of the chain: an own pool, blocks every second, one contract that keeps keys, and an RPC whose machines are not equally far. */
export type SimChain = {
  client(life: Life, name: string): Chain;
  /** Signs without cryptography; the chain believes it. */
  account(address: Address): Pick<LocalAccount, "address" | "signTransaction">;
  /** What was stored, in the order of the blocks. */
  stored: (Call & { by: Address; hash: Hex })[];
  /** Every nonce that was seen with a call, by `address jobId`. */
  nonces: Map<string, Set<number>>;
  /** Whether a nonce went to something else than this call. */
  isTaken(address: string, nonce: number, jobId: string): boolean;
  /** Another program of the operator uses the wallet. */
  spend(address: Address): void;
};

const chainId = 421_614;
const blockMs = 1000;
const pollMs = 500;
const gwei = 1_000_000_000n;

export function createSimChain(world: World): SimChain {
  const { time, plan, trace } = world;
  const prng = world.prng.fork("chain");
  const pool: Transaction[] = [];
  const mined = new Map<Hex, Mined>();
  /** Nonces of each account, by block. */
  const history = new Map<Address, { block: number; nonce: number }[]>();
  const stored: SimChain["stored"] = [];
  const nonces: SimChain["nonces"] = new Map();
  const block = () => Math.floor((time.now() - world.begin) / blockMs);
  const nonceAt = (address: Address, at: number): number =>
    (history.get(address) ?? []).findLast((entry) => entry.block <= at)?.nonce ?? 0;
  const baseFee = () =>
    plan.congestion.some(({ from, to }) => time.now() >= world.begin + from && time.now() < world.begin + to)
      ? 3n * gwei
      : gwei / 10n;

  const mine = (transaction: Transaction): void => {
    const { from, nonce, hash, call } = transaction;
    mined.set(hash, { transaction, block: block() });
    history.set(from, [...(history.get(from) ?? []), { block: block(), nonce: nonce + 1 }]);
    if (call) stored.push({ ...call, by: from, hash });
    trace.add("chain", `mines nonce ${nonce} of ${from.slice(0, 6)}`);
  };

  const makeBlock = (): void => {
    for (let isMoving = true; isMoving; ) {
      const next = pool
        .filter(({ from, nonce, fee }) => nonce === nonceAt(from, block()) && fee >= baseFee())
        .sort((a, b) => Number(b.fee - a.fee))[0];
      isMoving = next !== undefined;
      if (next) mine(next);
      for (const waiting of [...pool])
        if (waiting.nonce < nonceAt(waiting.from, block())) pool.splice(pool.indexOf(waiting), 1);
    }
    if (pool.length > 0) time.after(blockMs, makeBlock);
  };

  const receive = (raw: Hex): Hex => {
    const transaction = readTransaction(raw);
    const { from, nonce, hash, call, fee } = transaction;
    if (call) {
      const key = `${from} ${call.jobId}`;
      nonces.set(key, (nonces.get(key) ?? new Set()).add(nonce));
    }
    if (mined.has(hash) || pool.some((other) => other.hash === hash)) throw refusal("already known");
    if (nonce < nonceAt(from, block())) throw refusal("nonce too low");
    const rival = pool.find((other) => other.from === from && other.nonce === nonce);
    if (rival && fee * 10n < rival.fee * 11n) throw refusal("replacement transaction underpriced");
    if (hits(world, prng, plan.rpc.forget)) return hash;
    if (rival) pool.splice(pool.indexOf(rival), 1);
    if (pool.length === 0) time.after(blockMs * prng.between(0.2, 2), makeBlock);
    pool.push(transaction);
    return hash;
  };

  const answer = (method: string, params: readonly unknown[]): unknown => {
    const seen = block() - (hits(world, prng, plan.rpc.stale) ? prng.int(1, 8) : 0);
    switch (method) {
      case "eth_chainId":
        return hex(chainId);
      case "eth_estimateGas":
        return hex(100_000);
      case "eth_getBlockByNumber":
        return { number: hex(seen), baseFeePerGas: hex(baseFee()), timestamp: hex(1), transactions: [] };
      case "eth_maxPriorityFeePerGas":
        return hex(gwei / 100n);
      case "eth_getTransactionCount": {
        const [address, tag] = params as [Address, string];
        let nonce = nonceAt(address, seen);
        if (tag === "pending")
          while (pool.some((waiting) => waiting.from === address && waiting.nonce === nonce)) nonce++;
        return hex(nonce);
      }
      case "eth_sendRawTransaction":
        return receive(params[0] as Hex);
      case "eth_getTransactionReceipt": {
        const found = mined.get(params[0] as Hex);
        return found && found.block <= seen ? receipt(found) : null;
      }
      default:
        throw refusal(`no method ${method}`);
    }
  };

  return {
    stored,
    nonces,
    isTaken: (address, nonce, jobId) =>
      [...mined.values()].some(
        ({ transaction: { from, nonce: used, call } }) => from === address && used === nonce && call?.jobId !== jobId,
      ),
    account: (address) => ({
      address,
      signTransaction: async (transaction) =>
        serializeTransaction(transaction as Parameters<typeof serializeTransaction>[0], {
          // The address in the signature's place is what `readTransaction` goes by.
          r: `0x${address.slice(2).padEnd(64, "1")}`,
          s: `0x${"1".repeat(64)}`,
          yParity: 1,
        }),
    }),
    spend: (address) => {
      if (pool.some(({ from }) => from === address)) return;
      const nonce = nonceAt(address, block());
      mine({ hash: prng.hex(32), from: address, nonce, fee: 0n, call: undefined });
    },
    client: (life, name) => {
      const { rpc } = plan;
      const request = ({ method, params = [] }: { method: string; params?: readonly unknown[] }) => {
        const isLost = hits(world, prng, rpc.drop);
        const isRefused = hits(world, prng, rpc.error);
        const fault = isLost ? lost() : isRefused ? refusal("header not found") : undefined;
        const ms = hits(world, prng, rpc.delay) ? prng.between(500, 15_000) : prng.between(5, 120);
        const after = hits(world, prng, rpc.dropReply) ? lost() : undefined;
        return doWork<unknown>(time, life, {
          name: `${name} ${method}`,
          ms,
          fault: { before: fault, after },
          effect: () => answer(method, params),
        });
      };
      const transport = custom({ request: request as never }, { retryCount: 0 });
      const client = createPublicClient({ transport, cacheTime: 0, pollingInterval: pollMs });
      return { client, chainId, explorer: undefined, pollMs, endpoints: [] } as Chain;
    },
  };
}

function readTransaction(raw: Hex): Transaction {
  const {
    nonce = 0,
    maxFeePerGas = 0n,
    data,
    r,
  } = parseTransaction(raw) as ReturnType<typeof parseTransaction> & {
    data?: Hex;
    r?: Hex;
  };
  const from = `0x${r!.slice(2, 42)}` as Address;
  const { args } = decodeFunctionData({ abi: promptKeyStoreAbi, data: data! });
  const [jobId, high, low] = args as unknown as [Hex, { ctHash: bigint }, { ctHash: bigint }];
  const call = { jobId, high: high.ctHash, low: low.ctHash };
  return { hash: keccak256(raw), from, nonce, fee: maxFeePerGas, call };
}

function receipt({ transaction, block }: Mined) {
  const { hash, from } = transaction;
  return { transactionHash: hash, blockNumber: hex(block), from, status: "0x1", logs: [], type: "0x2" };
}

function hex(value: number | bigint): Hex {
  return `0x${value.toString(16)}`;
}

function refusal(message: string): Error {
  return new RpcRequestError({ body: {}, url: "sim", error: { code: -32_000, message } });
}

function lost(): Error {
  return new HttpRequestError({ url: "sim", details: "the connection broke off" });
}
