import { Capability, createTxFromRLP, type TypedTransaction } from "@ethereumjs/tx";
import { equalsBytes, hexToBytes, KECCAK256_NULL } from "@ethereumjs/util";
import type { Hex } from "viem";
import type { Chain } from "./chain.ts";
import { baseFeePerGas, blockGasLimit } from "./genesis.ts";
import { refused } from "./rpc-error.ts";

/** geth's limit of a transaction, in bytes. */
const maxTransactionBytes = 128 * 1024;

/** Legacy, access list and dynamic fee; this chain has neither blobs nor delegated accounts. */
const acceptedTypes: readonly number[] = [0, 1, 2];

/** @throws RpcError when the bytes are not a transaction of this chain */
export function decodeTransaction(chain: Chain, raw: Hex): TypedTransaction {
  const bytes = hexToBytes(raw);
  if (bytes.length > maxTransactionBytes) throw refused("oversized data");
  const first = bytes[0] ?? 0;
  if (first < 0x7f && !acceptedTypes.includes(first)) throw refused("transaction type not supported");
  try {
    return createTxFromRLP(bytes, { common: chain.common });
  } catch (error) {
    throw refused(decodingProblem(String(error)));
  }
}

function decodingProblem(message: string): string {
  if (/chain ID|EIP155-based/.test(message)) return "invalid chain id for signer";
  if (/maxPriorityFeePerGas/.test(message)) return "max priority fee per gas higher than max fee per gas";
  if (/initcode size/.test(message)) return "max initcode size exceeded";
  return "rlp: the transaction cannot be decoded";
}

/**
 * What a node checks before it takes a transaction.
 * @throws RpcError in geth's words
 */
export async function admitTransaction(chain: Chain, transaction: TypedTransaction): Promise<void> {
  if (!transaction.isSigned() || !transaction.verifySignature()) throw refused("invalid sender");
  if (transaction.type === 0 && !transaction.supports(Capability.EIP155ReplayProtection))
    throw refused("only replay-protected (EIP-155) transactions allowed over RPC");
  if (transaction.gasLimit > blockGasLimit) throw refused("exceeds block gas limit");
  const needed = transaction.getIntrinsicGas();
  if (transaction.gasLimit < needed)
    throw refused(`intrinsic gas too low: gas ${transaction.gasLimit}, minimum needed ${needed}`);

  const sender = transaction.getSenderAddress();
  const account = await chain.vm.stateManager.getAccount(sender);
  if (account && !equalsBytes(account.codeHash, KECCAK256_NULL)) throw refused(`sender not an eoa: address ${sender}`);
  const nonce = account?.nonce ?? 0n;
  if (transaction.nonce !== nonce) {
    const problem = transaction.nonce < nonce ? "too low" : "too high";
    throw refused(`nonce ${problem}: address ${sender}, tx: ${transaction.nonce} state: ${nonce}`);
  }
  const feeCap = feeCapOf(transaction);
  if (feeCap < baseFeePerGas)
    throw refused(
      `max fee per gas less than block base fee: address ${sender}, maxFeePerGas: ${feeCap}, baseFee: ${baseFeePerGas}`,
    );
  const balance = account?.balance ?? 0n;
  const cost = transaction.gasLimit * feeCap + transaction.value;
  if (balance < cost)
    throw refused(`insufficient funds for gas * price + value: address ${sender} have ${balance} want ${cost}`);
}

/** The most that a transaction pays, in wei per gas. */
export function feeCapOf(transaction: TypedTransaction): bigint {
  return "maxFeePerGas" in transaction ? transaction.maxFeePerGas : transaction.gasPrice;
}
