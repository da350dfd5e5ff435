import type { Block } from "@ethereumjs/block";
import { type Common, createCustomCommon, Hardfork, Mainnet } from "@ethereumjs/common";
import { Caches, MerkleStateManager } from "@ethereumjs/statemanager";
import type { TypedTransaction } from "@ethereumjs/tx";
import { bytesToHex } from "@ethereumjs/util";
import { createVM, type VM } from "@ethereumjs/vm";
import type { Address, Hex } from "viem";
import type { Clock } from "../../lib/clock.ts";
import { applyGenesis, type Genesis } from "./genesis.ts";

/** The whole chain, in memory only: the state holds what the CoFHE stand-ins were told, so it must never reach a file. */
export type Chain = {
  vm: VM;
  common: Common;
  chainId: number;
  clock: Clock;
  /** Blocks by number. */
  blocks: Block[];
  numberOf: Map<Hex, number>;
  transactions: Map<Hex, MinedTransaction>;
  /** Keys of unlocked accounts, by lower-case address. */
  keys: Map<string, Hex>;
  /** Seconds that `evm_increaseTime` has put on top of the clock. */
  timeOffset: bigint;
};

/** A transaction in its block, which holds no other. */
export type MinedTransaction = {
  transaction: TypedTransaction;
  blockNumber: number;
  from: Address;
  contractAddress: Address | undefined;
  succeeded: boolean;
  gasUsed: bigint;
  /** Paid in all, in wei per gas. */
  effectiveGasPrice: bigint;
  logsBloom: Hex;
  logs: MinedLog[];
};

export type MinedLog = { address: Hex; topics: Hex[]; data: Hex };

export type ChainParameters = { chainId: number; clock: Clock; genesis: Genesis };

export async function createChain({ chainId, clock, genesis }: ChainParameters): Promise<Chain> {
  const common = createCustomCommon({ chainId }, Mainnet, { hardfork: Hardfork.Cancun });
  const blocks: Block[] = [];
  // Without caches each write hashes its way up the trie, also in calls whose writes are forgotten.
  const stateManager = new MerkleStateManager({ common, caches: new Caches() });
  const vm = await createVM({ common, stateManager, blockchain: blockHashes(blocks) });
  const keys = new Map<string, Hex>();
  for (const [address, { privateKey }] of Object.entries(genesis))
    if (privateKey !== undefined) keys.set(address.toLowerCase(), privateKey);
  const chain: Chain = {
    vm,
    common,
    chainId,
    clock,
    blocks,
    numberOf: new Map(),
    transactions: new Map(),
    keys,
    timeOffset: 0n,
  };
  appendBlock(chain, await applyGenesis(vm, genesis, clockSeconds(chain)));
  return chain;
}

export function appendBlock(chain: Chain, block: Block): void {
  chain.numberOf.set(bytesToHex(block.hash()), chain.blocks.length);
  chain.blocks.push(block);
}

export function headBlock(chain: Chain): Block {
  return chain.blocks[chain.blocks.length - 1]!;
}

/** The timestamp of a block that would be mined now: never before its parent's. */
export function nextTimestamp(chain: Chain): bigint {
  const parent = headBlock(chain).header.timestamp;
  const now = clockSeconds(chain);
  return now > parent ? now : parent;
}

/** What the BLOCKHASH instruction sees. */
export function blockHashes(blocks: readonly Block[]): VM["blockchain"] {
  const lookup: VM["blockchain"] = {
    getBlock: async (number) => {
      const block = blocks[number];
      if (!block) throw new RangeError(`no block ${number}`);
      return block;
    },
    putBlock: async () => {},
    shallowCopy: () => lookup,
  };
  return lookup;
}

function clockSeconds(chain: Chain): bigint {
  return BigInt(Math.floor(chain.clock.now() / 1000)) + chain.timeOffset;
}
