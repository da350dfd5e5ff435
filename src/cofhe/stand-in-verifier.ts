import type { Hash, PublicClient, WalletClient } from "viem";
import type { Clock } from "../lib/clock.ts";
import { retry } from "../lib/retry.ts";
import { cofheError } from "./errors.ts";

export type StandInVerifierOptions = {
  /** Sends for the account that the devnet itself signs for. */
  wallet: WalletClient;
  publicClient: PublicClient;
  clock: Clock;
};

/** How often a receipt is asked for: a chain that mines at once has it by the first question, if its RPC works. */
const receipts = { attempts: 20, initialMs: 50, maxMs: 1000 };

/**
 * The wallet by which the SDK registers plaintexts with the stand-in for CoFHE's verifier. The SDK takes any answer to
 * a transaction for a success, and a handle that was signed but not registered can be stored and never be read: here a
 * transaction succeeds once it was mined.
 */
export function createStandInVerifier({ wallet, publicClient, clock }: StandInVerifierOptions): WalletClient {
  const waitUntilMined = (hash: Hash) =>
    retry(() => publicClient.getTransactionReceipt({ hash }), { ...receipts, clock, retryable: () => true });
  const writeContract: WalletClient["writeContract"] = async (call) => {
    const hash: unknown = await wallet.writeContract(call);
    if (!isHash(hash)) throw cofheError("COFHE_RPC_UNREACHABLE");
    const receipt = await waitUntilMined(hash);
    if (receipt.status !== "success") throw cofheError("COFHE_VERIFIER_FAILED");
    return hash;
  };
  return { ...wallet, writeContract };
}

function isHash(value: unknown): value is Hash {
  return typeof value === "string" && /^0x[0-9a-f]{64}$/i.test(value);
}
