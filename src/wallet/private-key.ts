import type { Hex } from "viem";
import { type RandomBytes, systemRandom } from "../crypto/random.ts";
import { BlfError } from "../lib/errors.ts";
import { Secret, wipe } from "../lib/secret.ts";

/** Number of keys of secp256k1: a private key is between 1 and this less one. */
const curveOrder = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

/**
 * Reads a private key of 64 hex digits, with or without `0x`, blanks around it ignored. The error never repeats the text.
 * @throws BlfError `PRIVATE_KEY_INVALID`
 */
export function parsePrivateKey(text: string): Secret<Hex> {
  const digits = /^\s*(?:0[xX])?([0-9a-fA-F]{64})\s*$/.exec(text)?.[1]?.toLowerCase();
  if (digits === undefined) throw invalidKey("it is not 64 hexadecimal digits");
  const key: Hex = `0x${digits}`;
  if (!isInRange(key)) throw invalidKey("it is outside of the curve's range");
  return new Secret(key);
}

/** A new private key. */
export function createPrivateKey(random: RandomBytes = systemRandom): Secret<Hex> {
  for (;;) {
    const bytes = random(32);
    const key: Hex = `0x${Buffer.from(bytes).toString("hex")}`;
    wipe(bytes);
    if (isInRange(key)) return new Secret(key);
  }
}

function isInRange(key: Hex): boolean {
  const value = BigInt(key);
  return value > 0n && value < curveOrder;
}

function invalidKey(reason: string): BlfError {
  return new BlfError({
    code: "PRIVATE_KEY_INVALID",
    message: `The private key is not valid: ${reason}`,
    hint: "Give an Ethereum private key: 64 hexadecimal digits, with or without 0x.",
  });
}
