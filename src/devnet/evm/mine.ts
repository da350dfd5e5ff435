import type { TypedTransaction } from "@ethereumjs/tx";
import { bytesToHex } from "@ethereumjs/util";
import { buildBlock, type RunTxResult } from "@ethereumjs/vm";
import { getAddress, type Hex } from "viem";
import { feeCapOf } from "./admission.ts";
import { appendBlock, type Chain, headBlock, type MinedTransaction, nextTimestamp } from "./chain.ts";
import { baseFeePerGas } from "./genesis.ts";

/** Mines a transaction that was admitted, in a block of its own, and returns its hash. */
export async function mineTransaction(chain: Chain, transaction: TypedTransaction): Promise<Hex> {
  const result = await mineBlock(chain, transaction);
  const hash = bytesToHex(transaction.hash());
  chain.transactions.set(hash, minedTransaction(chain, transaction, result!));
  return hash;
}

/** Mines a block with one transaction or none. */
export async function mineBlock(chain: Chain, transaction?: TypedTransaction): Promise<RunTxResult | undefined> {
  const builder = await buildBlock(chain.vm, {
    parentBlock: headBlock(chain),
    headerData: { timestamp: nextTimestamp(chain), baseFeePerGas },
    blockOpts: { putBlockIntoBlockchain: false },
  });
  try {
    const result = transaction && (await builder.addTransaction(transaction));
    const { block } = await builder.build();
    appendBlock(chain, block);
    return result;
  } catch (error) {
    await builder.revert();
    throw error;
  }
}

function minedTransaction(chain: Chain, transaction: TypedTransaction, result: RunTxResult): MinedTransaction {
  return {
    transaction,
    blockNumber: chain.blocks.length - 1,
    from: getAddress(transaction.getSenderAddress().toString()),
    contractAddress: result.createdAddress && getAddress(result.createdAddress.toString()),
    succeeded: result.execResult.exceptionError === undefined,
    gasUsed: result.totalGasSpent,
    effectiveGasPrice: effectiveGasPrice(transaction),
    logsBloom: bytesToHex(result.bloom.bitvector),
    logs: result.receipt.logs.map(([address, topics, data]) => ({
      address: bytesToHex(address),
      topics: topics.map((topic) => bytesToHex(topic)),
      data: bytesToHex(data),
    })),
  };
}

/** EIP-1559: the base fee and a tip, but never more than the cap. */
function effectiveGasPrice(transaction: TypedTransaction): bigint {
  const cap = feeCapOf(transaction);
  if (!("maxPriorityFeePerGas" in transaction)) return cap;
  const wanted = baseFeePerGas + transaction.maxPriorityFeePerGas;
  return wanted < cap ? wanted : cap;
}
