import { decodeErrorResult, type Hex } from "viem";

/** An answer of JSON-RPC that says no. Messages are geth's words where viem recognises errors by them. */
export class RpcError extends Error {
  override readonly name = "RpcError";
  readonly code: number;
  readonly data: Hex | undefined;

  constructor(code: number, message: string, data?: Hex) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

/** The general error of a server: nonce, funds, gas and the like. */
export const refused = (message: string) => new RpcError(-32000, message);

export const invalidParams = (message: string) => new RpcError(-32602, message);

/** A revert with the data that the contract gave, so that a client can decode its error. */
export function reverted(data: Hex): RpcError {
  const reason = revertReason(data);
  return new RpcError(3, reason === undefined ? "execution reverted" : `execution reverted: ${reason}`, data);
}

/** The text of `revert("…")`; undefined for custom errors, panics and empty data. */
function revertReason(data: Hex): string | undefined {
  try {
    const { errorName, args } = decodeErrorResult({ abi: [], data });
    return errorName === "Error" ? String(args?.[0]) : undefined;
  } catch {
    return undefined;
  }
}
