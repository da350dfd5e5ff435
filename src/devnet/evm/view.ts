import { type Block, createBlock } from "@ethereumjs/block";
import { createVM, type VM } from "@ethereumjs/vm";
import { blockHashes, type Chain, headBlock, nextTimestamp } from "./chain.ts";
import { baseFeePerGas, blockGasLimit } from "./genesis.ts";
import type { BlockTag } from "./params.ts";
import { refused } from "./rpc-error.ts";

/** A state and the block in which a call against it runs. */
export type View = { vm: VM; block: Block };

/**
 * The state at a block. At the head a call sees the block that would be mined now, so that time passes for contracts even while
 * nobody sends a transaction; at an older block it sees that block.
 * @throws RpcError for a block that does not exist
 */
export async function viewAt(chain: Chain, tag: BlockTag): Promise<View> {
  const block = blockAt(chain, tag);
  if (!block) throw refused("header not found");
  if (block === headBlock(chain)) return { vm: chain.vm, block: pendingBlock(chain) };
  const stateManager = chain.vm.stateManager.shallowCopy();
  await stateManager.setStateRoot(block.header.stateRoot);
  const vm = await createVM({ common: chain.common, stateManager, blockchain: blockHashes(chain.blocks) });
  return { vm, block };
}

export function blockAt(chain: Chain, tag: BlockTag): Block | undefined {
  if (typeof tag === "bigint") return chain.blocks[Number(tag)];
  if (typeof tag === "object") {
    const number = chain.numberOf.get(tag.blockHash);
    return number === undefined ? undefined : chain.blocks[number];
  }
  return tag === "earliest" ? chain.blocks[0] : headBlock(chain);
}

function pendingBlock(chain: Chain): Block {
  const parent = headBlock(chain);
  const header = {
    number: parent.header.number + 1n,
    parentHash: parent.hash(),
    timestamp: nextTimestamp(chain),
    gasLimit: blockGasLimit,
    baseFeePerGas,
  };
  return createBlock({ header }, { common: chain.common });
}
