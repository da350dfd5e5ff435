import { BlfError } from "../lib/errors.ts";

/** The two halves of an AES-256 key, each an unsigned 128-bit integer. */
export type KeyHalves = { high: bigint; low: bigint };

export const keyBytes = 32;
const halfBytes = keyBytes / 2;

/**
 * Cuts a 32-byte key into two big-endian integers, the first 16 bytes being `high` (PROTOCOL.md 2.2).
 * @throws BlfError `KEY_LENGTH_INVALID`
 */
export function splitKey(key: Uint8Array): KeyHalves {
  if (key.length !== keyBytes)
    throw new BlfError({
      code: "KEY_LENGTH_INVALID",
      message: `A content key has ${keyBytes} bytes, this one has ${key.length}`,
      hint: "Use a key of 32 random bytes.",
    });
  return { high: readBigEndian(key.subarray(0, halfBytes)), low: readBigEndian(key.subarray(halfBytes)) };
}

/**
 * Puts a key together from its halves, 16 big-endian bytes each, `high` first (PROTOCOL.md 2.2).
 * @throws BlfError `KEY_HALF_OUT_OF_RANGE` unless both halves are in 0 … 2^128 − 1
 */
export function joinKey(halves: KeyHalves): Uint8Array<ArrayBuffer> {
  const key = new Uint8Array(keyBytes);
  writeBigEndian(key.subarray(0, halfBytes), halves.high);
  writeBigEndian(key.subarray(halfBytes), halves.low);
  return key;
}

function readBigEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value;
}

function writeBigEndian(target: Uint8Array, value: bigint): void {
  if (value < 0n || value >> 128n !== 0n)
    throw new BlfError({
      code: "KEY_HALF_OUT_OF_RANGE",
      message: "A half of the content key is not an unsigned 128-bit number",
      hint: "The key was stored with another type than Uint128: the requester has to send the job again.",
    });
  let rest = value;
  for (let index = target.length - 1; index >= 0; index--) {
    target[index] = Number(rest & 0xffn);
    rest >>= 8n;
  }
}
