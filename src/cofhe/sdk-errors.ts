import { BlfError } from "../lib/errors.ts";
import { type CofheErrorName, cofheError } from "./errors.ts";

/** Errors of the SDK and what they mean to us. Only their codes are read. */
const meanings: Record<string, CofheErrorName> = {
  CHAIN_ID_UNINITIALIZED: "COFHE_CLOSED",
  DECRYPT_RETURNED_NULL: "COFHE_ANSWER_INVALID",
  FETCH_KEYS_FAILED: "COFHE_KEYS_UNAVAILABLE",
  INVALID_PERMIT_DATA: "COFHE_PERMIT_FAILED",
  INVALID_PERMIT_DOMAIN: "COFHE_PERMIT_FAILED",
  MISSING_CRS: "COFHE_KEYS_UNAVAILABLE",
  MISSING_FHE_KEY: "COFHE_KEYS_UNAVAILABLE",
  NOT_CONNECTED: "COFHE_CLOSED",
  PERMIT_NOT_FOUND: "COFHE_PERMIT_FAILED",
  PUBLIC_WALLET_GET_CHAIN_ID_FAILED: "COFHE_RPC_UNREACHABLE",
  SEAL_OUTPUT_RETURNED_NULL: "COFHE_ANSWER_INVALID",
  UNSUPPORTED_CHAIN: "COFHE_CHAIN_UNSUPPORTED",
  ZK_PROVE_FAILED: "COFHE_PROVER_FAILED",
  ZK_VERIFY_FAILED: "COFHE_VERIFIER_FAILED",
};

/** viem's errors by name. Their messages hold whole requests, permits included. */
const rpcFailed = new Set(["HttpRequestError", "RpcRequestError", "TimeoutError", "UnknownRpcError"]);
const reverted = new Set(["ContractFunctionRevertedError", "ExecutionRevertedError"]);
const notDeployed = new Set(["AbiDecodingZeroDataError", "ContractFunctionZeroDataError"]);

/**
 * Turns whatever a call of the SDK threw into an error of ours. Nothing of the original passes on, not even as a cause.
 * `otherwise` names errors that say nothing of themselves.
 */
export function fromSdk(error: unknown, otherwise: CofheErrorName): BlfError {
  if (error instanceof BlfError) return error;
  const code = (error as { code?: unknown } | null)?.code;
  if (code === "SEAL_OUTPUT_FAILED") return cofheError(sealOutputMeaning(error));
  if (typeof code === "string" && meanings[code]) return cofheError(meanings[code]);
  const is = (names: Set<string>) => errorNames(error).some((name) => names.has(name));
  if (is(notDeployed)) return cofheError("COFHE_NOT_DEPLOYED");
  if (is(rpcFailed) && !is(reverted)) return cofheError("COFHE_RPC_UNREACHABLE");
  return cofheError(otherwise);
}

/**
 * The SDK gives one code to everything that ends a decryption. What tells the cases apart without reading any text: an
 * HTTP status, an inner error (a failed request or unreadable body), or which fields the context has.
 */
function sealOutputMeaning(error: unknown): CofheErrorName {
  const { cause, context } = error as { cause?: unknown; context?: unknown };
  if (cause !== undefined) return "COFHE_UNAVAILABLE";
  if (typeof context !== "object" || context === null) return "COFHE_NOT_ALLOWED";
  const status = "status" in context && typeof context.status === "number" ? context.status : undefined;
  if (status === 404) return "COFHE_HANDLE_UNKNOWN";
  if (status === 408 || status === 429) return "COFHE_UNAVAILABLE";
  if (status !== undefined) return status >= 400 && status < 500 ? "COFHE_NOT_ALLOWED" : "COFHE_UNAVAILABLE";
  return "response" in context ? "COFHE_NOT_ALLOWED" : "COFHE_UNAVAILABLE";
}

/** The names of an error and of those inside it. */
function errorNames(error: unknown): string[] {
  const names: string[] = [];
  for (let current = error; current instanceof Error && names.length < 10; current = current.cause)
    names.push(current.name);
  return names;
}
