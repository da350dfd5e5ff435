import { createHash } from "node:crypto";
import { BlfError } from "../lib/errors.ts";

/** `backendType` of an attestation request (PROTOCOL.md 4.2). */
export type AttestationBackend = "mock" | "tpm" | "sev" | "tdx";

export type QuoteRequest = {
  /** The challenge's nonce, raw bytes. */
  nonce: Uint8Array;
  signal?: AbortSignal;
};

export type Quote = {
  /** Hex without `0x`. */
  quote: string;
  /** 64 hex digits without `0x`. */
  runtimeHash: string;
};

/** Something that vouches for this machine. */
export type Attestor = {
  backendType: AttestationBackend;
  /** @throws BlfError `ATTESTATION_HARDWARE_MISSING`, `ATTESTATION_QUOTE_FAILED`; the signal's reason when aborted */
  quote(request: QuoteRequest): Promise<Quote>;
};

/** Longest nonce that every kind of hardware can put into a quote, in bytes. */
const maximumNonceBytes = 64;

/**
 * The bytes of a challenge's nonce, `0x` and hex digits (PROTOCOL.md 4.1).
 * @throws BlfError `ATTESTATION_NONCE_INVALID`
 */
export function parseNonce(text: string): Uint8Array {
  const digits = /^(?:0x)?((?:[0-9a-fA-F]{2})+)$/.exec(text)?.[1];
  if (digits === undefined || digits.length > 2 * maximumNonceBytes)
    throw new BlfError({
      code: "ATTESTATION_NONCE_INVALID",
      message: "The coordinator's challenge has no usable nonce",
      hint: "Check that the ICL endpoint is the network's coordinator.",
    });
  return new Uint8Array(Buffer.from(digits, "hex"));
}

export function sha256Hex(data: Uint8Array | string): string {
  return createHash("sha256").update(data).digest("hex");
}

export function hardwareMissing(message: string, hint: string): BlfError {
  return new BlfError({ code: "ATTESTATION_HARDWARE_MISSING", message, hint });
}

export function quoteFailed(message: string, hint: string, cause?: unknown): BlfError {
  return new BlfError({ code: "ATTESTATION_QUOTE_FAILED", message, hint, cause });
}
