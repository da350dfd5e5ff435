import { type Address, type Hash, type Hex, parseEther } from "viem";
import type {
  BlindTransfer,
  CoordinatorChain,
  StakeInfo,
  StoredKey,
} from "../../../src/devnet/coordinator/coordinator-chain.ts";
import { BlfError } from "../../../src/lib/errors.ts";

export type Write = { kind: string; address: Address; amount?: bigint; jobId?: Hex };

/** A chain in memory: the test writes its past, and reads what the coordinator did to it. */
export type FakeChain = CoordinatorChain & {
  stakes: Map<Address, StakeInfo>;
  registered: Set<Address>;
  keys: Map<Hash, StoredKey[]>;
  transfers: Map<Hash, BlindTransfer[]>;
  writes: Write[];
  /** When set, writes of this kind throw: `retryable` for a chain that is away for a while. */
  failing: Map<string, { retryable: boolean }>;
  reachable: boolean;
  /** A transaction hash that was not used yet. */
  newHash(): Hash;
  storeKey(key: Omit<StoredKey, "high" | "low"> & { high?: bigint; low?: bigint }): Hash;
  transfer(from: Address, to: Address, value: bigint): Hash;
  writesOf(kind: string): Write[];
};

export const treasury: Address = "0x7F9B413Da50e72415b16Eb9df6e5E59774a338dc";

/** Handles of 256 bits, which no double can hold. */
export const handles = {
  high: 0xf1d5_0000_0000_0000_0000_0000_0000_0000_0000_0000_0000_0000_0000_0000_0000_0601n,
  low: 2n ** 256n - 189n,
};

export function createFakeChain(): FakeChain {
  let counter = 0;
  const sent = new Map<string, Hash>();
  const stakes = new Map<Address, StakeInfo>();
  const registered = new Set<Address>();
  const keys = new Map<Hash, StoredKey[]>();
  const transfers = new Map<Hash, BlindTransfer[]>();
  const writes: Write[] = [];
  const failing = new Map<string, { retryable: boolean }>();
  const newHash = (): Hash => `0x${(++counter).toString(16).padStart(64, "0")}`;
  const write = async (purpose: string, entry: Write): Promise<Hash> => {
    const earlier = sent.get(purpose);
    if (earlier) return earlier;
    const failure = failing.get(entry.kind);
    if (failure) throw new BlfError({ code: "CHAIN_TEST", message: "no", hint: "none", retryable: failure.retryable });
    const hash = newHash();
    sent.set(purpose, hash);
    writes.push(entry);
    return hash;
  };
  const chain: FakeChain = {
    treasury,
    stakes,
    registered,
    keys,
    transfers,
    writes,
    failing,
    reachable: true,
    newHash,
    storeKey: (key) => {
      const hash = newHash();
      keys.set(hash, [{ ...handles, ...key }]);
      return hash;
    },
    transfer: (from, to, value) => {
      const hash = newHash();
      transfers.set(hash, [{ from, to, value }]);
      return hash;
    },
    writesOf: (kind) => writes.filter((entry) => entry.kind === kind),
    isConnected: async () => chain.reachable,
    getStake: async (node) => {
      if (!chain.reachable)
        throw new BlfError({ code: "CHAIN_UNREACHABLE", message: "no", hint: "none", retryable: true });
      return stakes.get(node) ?? { staked: 0n, consecutiveFailures: 0, active: false };
    },
    isRegistered: async (node) => registered.has(node),
    getStoredKeys: async (tx) => keys.get(tx) ?? [],
    getKeySubmitter: async (jobId) => [...keys.values()].flat().find((key) => key.jobId === jobId)?.submitter,
    getTransfers: async (tx) => transfers.get(tx) ?? [],
    payReward: ({ purpose, to, amount }) => write(purpose, { kind: "payReward", address: to, amount }),
    recordFailure: ({ purpose, node }) => write(purpose, { kind: "recordFailure", address: node }),
    resetFailures: ({ purpose, node }) => write(purpose, { kind: "resetFailures", address: node }),
    grantDecryptAccess: ({ purpose, jobId, node }) =>
      write(purpose, { kind: "grantDecryptAccess", address: node, jobId }),
  };
  return chain;
}

/** Makes a node as the network wants it: registered, with the least stake. */
export function backNode(chain: FakeChain, node: Address, staked = parseEther("1000")): void {
  chain.registered.add(node);
  chain.stakes.set(node, { staked, consecutiveFailures: 0, active: true });
}
