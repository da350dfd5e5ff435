import { createHmac } from "node:crypto";
import { Secret } from "../lib/secret.ts";
import { type Attestor, sha256Hex } from "./attestation.ts";

/** The key that every mock node of the public network uses; it proves nothing about a machine. */
const networkKey = new Secret("weloveblindference");
const runtimeName = "blindference-node-v0.1.0-mock";

/**
 * The attestation of tier 0: `HMAC-SHA256(key, nonce)` (PROTOCOL.md 2.7). A key of the operator replaces the network's;
 * only a coordinator that knows it accepts the quote.
 */
export function createMockAttestor(options: { key?: Secret<string> } = {}): Attestor {
  const key = options.key ?? networkKey;
  return {
    backendType: "mock",
    quote: async ({ nonce }) => ({
      quote: createHmac("sha256", key.reveal()).update(nonce).digest("hex"),
      runtimeHash: sha256Hex(runtimeName),
    }),
  };
}
