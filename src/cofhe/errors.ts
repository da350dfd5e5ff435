import { BlfError } from "../lib/errors.ts";

type Words = { message: string; hint: string; retryable?: boolean };

const rpcHint = "Check BLF_RPC_URL and that the RPC endpoint serves the network's chain.";
const serviceHint = "The Fhenix services may be down or blocked from here: try again in a few minutes.";

/** Every way in which CoFHE can fail. The texts are ours throughout: those of the library hold key halves and permits. */
export const cofheErrors = {
  COFHE_ANSWER_INVALID: {
    message: "CoFHE answered with something that is not a key half",
    hint: "If this repeats, the handle does not belong to a key: check the address of the PromptKeyStore.",
  },
  COFHE_CHAIN_UNSUPPORTED: {
    message: "CoFHE is not available on this chain",
    hint: "Use Arbitrum Sepolia (421614) or the devnet (31337).",
  },
  COFHE_CLOSED: {
    message: "The CoFHE client was closed",
    hint: "The program is shutting down; start it again to go on.",
  },
  COFHE_HANDLE_INVALID: {
    message: "A handle is not an unsigned 256-bit integer",
    hint: "The coordinator sent a malformed assignment; nothing on this machine is wrong.",
  },
  COFHE_HANDLE_UNKNOWN: {
    message: "CoFHE does not know this handle",
    hint: "The key may not have been stored yet, or on another chain.",
  },
  COFHE_HANDLE_ZERO: {
    message: "The key has no handle: it was never stored",
    hint: "The requester did not store the prompt key, so the job cannot be answered.",
  },
  COFHE_INPUT_INVALID: {
    message: "A key cannot be encrypted: too many at once, or a half that is not an unsigned 128-bit integer",
    hint: "This is a fault of the program: please report it.",
  },
  COFHE_KEYS_INVALID: {
    message: "The FHE public key or CRS that CoFHE published cannot be used",
    hint: serviceHint,
    retryable: true,
  },
  COFHE_KEYS_UNAVAILABLE: {
    message: "The FHE public key or CRS could not be fetched from CoFHE",
    hint: serviceHint,
    retryable: true,
  },
  COFHE_NOT_ALLOWED: {
    message: "CoFHE refused to decrypt: this wallet is not allowed to read the key",
    hint: "Only the nodes that the requester listed can read a prompt key; check that this is the wallet that was assigned.",
  },
  COFHE_NOT_DEPLOYED: {
    message: "The chain has no CoFHE contracts where they should be",
    hint: rpcHint,
    // An RPC that is out of order for a moment says the same.
    retryable: true,
  },
  COFHE_PERMIT_FAILED: {
    message: "A CoFHE permit could not be made",
    hint: "Check that this machine's clock is right, then try again.",
  },
  COFHE_PROVER_FAILED: {
    message: "The proof of an encryption could not be made",
    hint: "The proof needs about 150 MB of free memory; the node goes on and tries again.",
    retryable: true,
  },
  COFHE_RPC_UNREACHABLE: {
    message: "The RPC endpoint cannot be reached or does not work",
    hint: rpcHint,
    retryable: true,
  },
  COFHE_SERVICE_URL: {
    message: "The URL of a CoFHE service is neither HTTPS nor on this machine",
    hint: "Use an https:// URL.",
  },
  COFHE_TIMEOUT: {
    message: "CoFHE did not finish in time",
    hint: serviceHint,
    retryable: true,
  },
  COFHE_UNAVAILABLE: {
    message: "The CoFHE threshold network did not answer properly",
    hint: serviceHint,
    retryable: true,
  },
  COFHE_VERIFIER_FAILED: {
    message: "The CoFHE verifier did not accept an encryption",
    hint: serviceHint,
    retryable: true,
  },
  COFHE_WRONG_CHAIN: {
    message: "The RPC endpoint serves another chain than the configured one",
    hint: rpcHint,
  },
} satisfies Record<string, Words>;

export type CofheErrorName = keyof typeof cofheErrors;

/** One of the errors above. It never has a cause. */
export function cofheError(code: CofheErrorName): BlfError {
  return new BlfError({ code, ...cofheErrors[code] });
}

/** Whether an error is one of the errors above. */
export function isCofheError(error: unknown, ...codes: CofheErrorName[]): boolean {
  return error instanceof BlfError && codes.some((code) => code === error.code);
}
