import { createFeeMarket1559Tx } from "@ethereumjs/tx";
import { createAddressFromString, hexToBytes } from "@ethereumjs/util";
import type { Hex } from "viem";
import * as z from "zod";
import { admitTransaction, decodeTransaction } from "./admission.ts";
import { call } from "./call.ts";
import type { Chain } from "./chain.ts";
import { estimateGas } from "./estimate.ts";
import { quantityHex } from "./format.ts";
import { baseFeePerGas } from "./genesis.ts";
import { mineTransaction } from "./mine.ts";
import { blockTag, bytes, type CallRequest, callRequest, parseParams, transactionFields } from "./params.ts";
import { refused } from "./rpc-error.ts";
import type { Methods } from "./rpc-method.ts";
import { viewAt } from "./view.ts";

const tag = blockTag.nullish().transform((value) => value ?? "latest");
/** An absent or empty third parameter of eth_call: overriding state is not offered. */
const noOverrides = z.object({}).strict().nullish();

/** Methods that run code. */
export function executionMethods(chain: Chain): Methods {
  return {
    eth_call: async (params) => {
      const [request, at] = parseParams([callRequest, tag, noOverrides], params);
      return call(await viewAt(chain, at), request);
    },
    eth_estimateGas: async (params) => {
      const [request, at] = parseParams([callRequest, tag, noOverrides], params);
      return quantityHex(await estimateGas(await viewAt(chain, at), request));
    },
    eth_sendRawTransaction: async (params) => {
      const transaction = decodeTransaction(chain, parseParams([bytes], params)[0]);
      await admitTransaction(chain, transaction);
      return mineTransaction(chain, transaction);
    },
    eth_sendTransaction: async (params) => sendUnlocked(chain, parseParams([callRequest], params)[0]),
  };
}

/**
 * Signs for an unlocked account. The chain picks the nonce, so processes that share the account do not get into each other's way.
 * @throws RpcError for every other account
 */
async function sendUnlocked(chain: Chain, request: CallRequest): Promise<Hex> {
  const key = request.from && chain.keys.get(request.from.toLowerCase());
  if (!request.from || !key) throw refused("unknown account");
  const account = await chain.vm.stateManager.getAccount(createAddressFromString(request.from));
  const feeCap = request.maxFeePerGas ?? request.gasPrice ?? baseFeePerGas;
  const transaction = createFeeMarket1559Tx(
    {
      chainId: chain.chainId,
      nonce: request.nonce ?? account?.nonce ?? 0n,
      gasLimit: request.gas ?? (await estimateGas(await viewAt(chain, "latest"), request)),
      maxFeePerGas: feeCap,
      maxPriorityFeePerGas: request.maxPriorityFeePerGas ?? 0n,
      ...transactionFields(request),
    },
    { common: chain.common },
  ).sign(hexToBytes(key));
  await admitTransaction(chain, transaction);
  return mineTransaction(chain, transaction);
}
