import { bytesToHex, createAddressFromString, setLengthLeft, toBytes } from "@ethereumjs/util";
import { type Address, numberToHex } from "viem";
import * as z from "zod";
import { type Chain, headBlock } from "./chain.ts";
import { formatBlock, formatReceipt, formatTransaction, quantityHex } from "./format.ts";
import { baseFeePerGas } from "./genesis.ts";
import { findLogs } from "./logs.ts";
import { address, amount, blockTag, hash, logFilter, parseParams, quantity } from "./params.ts";
import type { Methods } from "./rpc-method.ts";
import { blockAt, viewAt } from "./view.ts";

const tag = blockTag.nullish().transform((value) => value ?? "latest");
const percentiles = z.array(z.number()).nullish();

/** Methods that only look. */
export function queryMethods(chain: Chain): Methods {
  return {
    eth_chainId: () => quantityHex(chain.chainId),
    net_version: () => String(chain.chainId),
    net_listening: () => true,
    web3_clientVersion: () => "blindference-devnet",
    eth_syncing: () => false,
    eth_accounts: () => [...chain.keys.keys()],
    eth_blockNumber: () => quantityHex(headBlock(chain).header.number),
    eth_gasPrice: () => quantityHex(baseFeePerGas),
    eth_maxPriorityFeePerGas: () => "0x0",
    eth_feeHistory: (params) => feeHistory(chain, params),
    ...stateMethods(chain),
    ...blockMethods(chain),
  };
}

function stateMethods(chain: Chain): Methods {
  const accountAt = async (owner: Address, at: z.output<typeof tag>) =>
    (await viewAt(chain, at)).vm.stateManager.getAccount(createAddressFromString(owner));
  return {
    eth_getBalance: async (params) => {
      const [owner, at] = parseParams([address, tag], params);
      return quantityHex((await accountAt(owner, at))?.balance ?? 0n);
    },
    eth_getTransactionCount: async (params) => {
      const [owner, at] = parseParams([address, tag], params);
      return quantityHex((await accountAt(owner, at))?.nonce ?? 0n);
    },
    eth_getCode: async (params) => {
      const [owner, at] = parseParams([address, tag], params);
      const { vm } = await viewAt(chain, at);
      return bytesToHex(await vm.stateManager.getCode(createAddressFromString(owner)));
    },
    eth_getStorageAt: async (params) => {
      const [owner, slot, at] = parseParams([address, quantity, tag], params);
      const { vm } = await viewAt(chain, at);
      const key = toBytes(numberToHex(slot, { size: 32 }));
      const value = await vm.stateManager.getStorage(createAddressFromString(owner), key);
      return bytesToHex(setLengthLeft(value, 32));
    },
  };
}

function blockMethods(chain: Chain): Methods {
  const block = (params: unknown[], schema: z.ZodType<z.output<typeof blockTag>>) => {
    const [at, full] = parseParams([schema, z.boolean().nullish()], params);
    const found = blockAt(chain, at);
    return found ? formatBlock(chain, found, full ?? false) : null;
  };
  return {
    eth_getBlockByNumber: (params) => block(params, blockTag),
    eth_getBlockByHash: (params) =>
      block(
        params,
        hash.transform((blockHash) => ({ blockHash })),
      ),
    eth_getTransactionByHash: (params) => {
      const mined = chain.transactions.get(parseParams([hash], params)[0]);
      return mined ? formatTransaction(chain, mined) : null;
    },
    eth_getTransactionReceipt: (params) => {
      const mined = chain.transactions.get(parseParams([hash], params)[0]);
      return mined ? formatReceipt(chain, mined) : null;
    },
    eth_getLogs: (params) => findLogs(chain, parseParams([logFilter], params)[0]),
  };
}

/** The fee never moves, so history is as long as asked for and always the same. */
function feeHistory(chain: Chain, params: unknown[]) {
  const [wanted, newest, rewards] = parseParams([amount, tag, percentiles], params);
  const last = Number((blockAt(chain, newest) ?? headBlock(chain)).header.number);
  const count = Math.min(Number(wanted), last + 1, 1024);
  const blocks = chain.blocks.slice(last + 1 - count, last + 1);
  return {
    oldestBlock: quantityHex(last + 1 - count),
    baseFeePerGas: Array.from({ length: count + 1 }, () => quantityHex(baseFeePerGas)),
    gasUsedRatio: blocks.map(({ header }) => Number(header.gasUsed) / Number(header.gasLimit)),
    ...(rewards && { reward: blocks.map(() => rewards.map(() => "0x0")) }),
  };
}
