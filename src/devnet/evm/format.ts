import type { Block } from "@ethereumjs/block";
import type { TypedTransaction } from "@ethereumjs/tx";
import { bytesToHex } from "@ethereumjs/util";
import { type Hex, numberToHex, toHex } from "viem";
import type { Chain, MinedTransaction } from "./chain.ts";

export const quantityHex = (value: bigint | number): Hex => numberToHex(value);

/** A block as `eth_getBlockBy…` returns it. */
export function formatBlock(chain: Chain, block: Block, withTransactions: boolean) {
  const { header } = block;
  const hashes = block.transactions.map((transaction) => bytesToHex(transaction.hash()));
  return {
    number: quantityHex(header.number),
    hash: bytesToHex(block.hash()),
    parentHash: bytesToHex(header.parentHash),
    nonce: bytesToHex(header.nonce),
    mixHash: bytesToHex(header.mixHash),
    sha3Uncles: bytesToHex(header.uncleHash),
    logsBloom: bytesToHex(header.logsBloom),
    transactionsRoot: bytesToHex(header.transactionsTrie),
    stateRoot: bytesToHex(header.stateRoot),
    receiptsRoot: bytesToHex(header.receiptTrie),
    miner: header.coinbase.toString(),
    difficulty: quantityHex(header.difficulty),
    extraData: bytesToHex(header.extraData),
    size: quantityHex(block.serialize().length),
    gasLimit: quantityHex(header.gasLimit),
    gasUsed: quantityHex(header.gasUsed),
    timestamp: quantityHex(header.timestamp),
    baseFeePerGas: quantityHex(header.baseFeePerGas ?? 0n),
    blobGasUsed: quantityHex(header.blobGasUsed ?? 0n),
    excessBlobGas: quantityHex(header.excessBlobGas ?? 0n),
    parentBeaconBlockRoot: toHex(header.parentBeaconBlockRoot ?? new Uint8Array(32)),
    withdrawalsRoot: header.withdrawalsRoot && bytesToHex(header.withdrawalsRoot),
    withdrawals: [],
    uncles: [],
    transactions: withTransactions
      ? hashes.map((hash) => formatTransaction(chain, chain.transactions.get(hash)!))
      : hashes,
  };
}

/** A transaction as `eth_getTransactionByHash` returns it. */
export function formatTransaction(chain: Chain, mined: MinedTransaction) {
  const { transaction } = mined;
  return {
    ...place(chain, mined),
    hash: bytesToHex(transaction.hash()),
    type: quantityHex(transaction.type),
    chainId: quantityHex(chain.chainId),
    from: mined.from.toLowerCase(),
    to: transaction.to?.toString() ?? null,
    nonce: quantityHex(transaction.nonce),
    gas: quantityHex(transaction.gasLimit),
    value: quantityHex(transaction.value),
    input: bytesToHex(transaction.data),
    gasPrice: quantityHex(mined.effectiveGasPrice),
    ...feeFields(transaction),
    v: quantityHex(transaction.v ?? 0n),
    r: quantityHex(transaction.r ?? 0n),
    s: quantityHex(transaction.s ?? 0n),
  };
}

function feeFields(transaction: TypedTransaction) {
  if (transaction.type === 0) return {};
  const accessList =
    "accessList" in transaction
      ? transaction.accessList.map(([address, keys]) => ({
          address: bytesToHex(address),
          storageKeys: keys.map((key) => bytesToHex(key)),
        }))
      : [];
  const yParity = quantityHex(transaction.v ?? 0n);
  if (!("maxFeePerGas" in transaction)) return { accessList, yParity };
  return {
    accessList,
    yParity,
    maxFeePerGas: quantityHex(transaction.maxFeePerGas),
    maxPriorityFeePerGas: quantityHex(transaction.maxPriorityFeePerGas),
  };
}

/** A receipt as `eth_getTransactionReceipt` returns it. */
export function formatReceipt(chain: Chain, mined: MinedTransaction) {
  const { transaction } = mined;
  return {
    ...place(chain, mined),
    transactionHash: bytesToHex(transaction.hash()),
    type: quantityHex(transaction.type),
    from: mined.from.toLowerCase(),
    to: transaction.to?.toString() ?? null,
    contractAddress: mined.contractAddress?.toLowerCase() ?? null,
    status: mined.succeeded ? "0x1" : "0x0",
    gasUsed: quantityHex(mined.gasUsed),
    cumulativeGasUsed: quantityHex(mined.gasUsed),
    effectiveGasPrice: quantityHex(mined.effectiveGasPrice),
    logsBloom: mined.logsBloom,
    logs: formatLogs(chain, mined),
  };
}

export function formatLogs(chain: Chain, mined: MinedTransaction) {
  const transactionHash = bytesToHex(mined.transaction.hash());
  return mined.logs.map((log, index) => ({
    ...log,
    ...place(chain, mined),
    transactionHash,
    logIndex: quantityHex(index),
    removed: false,
  }));
}

/** Every transaction is the only one of its block. */
function place(chain: Chain, mined: MinedTransaction) {
  return {
    blockHash: bytesToHex(chain.blocks[mined.blockNumber]!.hash()),
    blockNumber: quantityHex(mined.blockNumber),
    transactionIndex: "0x0",
  };
}
