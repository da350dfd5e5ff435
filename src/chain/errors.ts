import {
  BaseError,
  ContractFunctionRevertedError,
  HttpRequestError,
  InsufficientFundsError,
  RpcRequestError,
  TimeoutError,
  UnknownRpcError,
} from "viem";
import { BlfError } from "../lib/errors.ts";
import { printable } from "../lib/printable.ts";

const rpcHint = "Check rpc_url (BLF_RPC_URL) and the network, and try again.";

/**
 * Words for what went wrong on the chain. `action` completes "Cannot …".
 * Codes: `CHAIN_REVERTED`, `CHAIN_INSUFFICIENT_FUNDS`, `CHAIN_UNREACHABLE` (retryable), `CHAIN_REFUSED`.
 */
export function chainError(error: unknown, action: string): BlfError {
  if (error instanceof BlfError) return error;
  if (!(error instanceof BaseError)) return unreachable(action, error);
  const own = error.walk((cause) => cause instanceof BlfError);
  if (own instanceof BlfError) return own;
  const reverted = error.walk((cause) => cause instanceof ContractFunctionRevertedError);
  if (reverted instanceof ContractFunctionRevertedError)
    return new BlfError({
      code: "CHAIN_REVERTED",
      message: `Cannot ${action}: the contract refuses it${revertReason(reverted)}`,
      hint: "The reason in brackets is the contract's own; nothing was sent and no gas was spent.",
      cause: reverted.shortMessage,
    });
  if (error.walk((cause) => cause instanceof InsufficientFundsError) || /insufficient funds/i.test(error.message))
    return new BlfError({
      code: "CHAIN_INSUFFICIENT_FUNDS",
      message: `Cannot ${action}: the wallet has not enough ETH for the gas`,
      hint: "Send some ETH of this network to the node's address and run the command again.",
    });
  const transport = error.walk((cause) => cause instanceof HttpRequestError || cause instanceof TimeoutError);
  if (transport) return unreachable(action, error.shortMessage);
  const refused = error.walk((cause) => cause instanceof RpcRequestError);
  // viem's word for an answer that is not JSON-RPC at all.
  if (!refused && error.walk((cause) => cause instanceof UnknownRpcError))
    return unreachable(action, error.shortMessage);
  const reason = refused instanceof RpcRequestError ? refused.details : error.shortMessage;
  return new BlfError({
    code: "CHAIN_REFUSED",
    message: `Cannot ${action}: the RPC refuses it (${printable(reason).slice(0, 160)})`,
    hint: rpcHint,
    retryable: true,
  });
}

function unreachable(action: string, cause: unknown): BlfError {
  return new BlfError({
    code: "CHAIN_UNREACHABLE",
    message: `Cannot ${action}: the RPC does not answer`,
    hint: rpcHint,
    retryable: true,
    cause,
  });
}

function revertReason(error: ContractFunctionRevertedError): string {
  const name = error.data?.errorName;
  const reason = name && name !== "Error" ? name : error.reason;
  return reason ? ` (${printable(reason).slice(0, 160)})` : "";
}
