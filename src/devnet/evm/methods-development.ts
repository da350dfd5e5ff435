import * as z from "zod";
import { type Chain, headBlock } from "./chain.ts";
import { quantityHex } from "./format.ts";
import { mineBlock } from "./mine.ts";
import { amount, parseParams } from "./params.ts";
import { invalidParams, refused } from "./rpc-error.ts";
import type { Methods } from "./rpc-method.ts";

/** More empty blocks than this are not mined in one request. */
const maxBlocks = 1000n;

/** Nobody needs to skip more than a century. */
const maxSeconds = 100n * 365n * 86_400n;

const mineOptions = z
  .union([amount, z.object({ blocks: amount.optional() }).transform(({ blocks }) => blocks)])
  .nullish();

/** Methods that only a test network has, under the names that viem's test clients use. */
export function developmentMethods(chain: Chain): Methods {
  return {
    /** Moves time forward by a number of seconds; returns how far it is ahead of the clock, in seconds. */
    evm_increaseTime: (params) => {
      const [seconds] = parseParams([amount], params);
      if (seconds > maxSeconds) throw invalidParams(`at most ${maxSeconds} seconds`);
      chain.timeOffset += seconds;
      return quantityHex(chain.timeOffset);
    },
    /** Moves time so that a block mined now has this timestamp. */
    evm_setNextBlockTimestamp: (params) => {
      const [timestamp] = parseParams([amount], params);
      const head = headBlock(chain).header.timestamp;
      if (timestamp < head) throw refused(`timestamp ${timestamp} is lower than the head's timestamp ${head}`);
      chain.timeOffset = timestamp - BigInt(Math.floor(chain.clock.now() / 1000));
      return null;
    },
    evm_mine: async (params) => {
      const [blocks] = parseParams([mineOptions], params);
      await mine(chain, blocks ?? 1n, 0n);
      return "0x0";
    },
    anvil_mine: (params) => mineMany(chain, params),
    hardhat_mine: (params) => mineMany(chain, params),
  };
}

async function mineMany(chain: Chain, params: unknown[]): Promise<null> {
  const [blocks, interval] = parseParams([amount.nullish(), amount.nullish()], params);
  await mine(chain, blocks ?? 1n, interval ?? 0n);
  return null;
}

/** Mines empty blocks, `interval` seconds apart. */
async function mine(chain: Chain, blocks: bigint, interval: bigint): Promise<void> {
  if (blocks > maxBlocks || interval > maxSeconds) throw invalidParams(`at most ${maxBlocks} blocks at a time`);
  for (let mined = 0n; mined < blocks; mined++) {
    if (mined > 0n) chain.timeOffset += interval;
    await mineBlock(chain);
  }
}
