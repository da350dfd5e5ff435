import type { Address, Hex } from "viem";
import { type Clock, unixSeconds } from "../lib/clock.ts";

/** The part of a wallet that signs requests. */
export type RequestSigner = {
  address: Address;
  signMessage(parameters: { message: string }): Promise<Hex>;
};

/**
 * The headers that every request of a node carries (PROTOCOL.md 3): an EIP-191 signature over the exact body text
 * followed by the Unix time in seconds. The body is empty for a GET.
 */
export async function authenticationHeaders(
  signer: RequestSigner,
  clock: Clock,
  body: string,
): Promise<Record<string, string>> {
  const timestamp = String(unixSeconds(clock));
  return {
    "X-Node-Address": signer.address,
    "X-Timestamp": timestamp,
    "X-Signature": await signer.signMessage({ message: body + timestamp }),
    "Content-Type": "application/json",
  };
}
