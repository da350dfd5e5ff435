import type { RandomBytes } from "../../src/crypto/random.ts";

/** Numbers that look random and are the same for the same seed, on every machine. */
export type Prng = {
  /** Uniform in [0, 1). */
  next(): number;
  /** Uniform in [low, high). */
  between(low: number, high: number): number;
  /** An integer, both ends included. */
  int(low: number, high: number): number;
  chance(probability: number): boolean;
  pick<T>(items: readonly T[]): T;
  bytes: RandomBytes;
  /** `0x` and two digits for each byte. */
  hex(length: number): `0x${string}`;
  /** Another generator: what is drawn from it does not change what is drawn here. */
  fork(label: string): Prng;
};

export function createPrng(seed: string): Prng {
  const next = sfc32(seed);
  const bytes: RandomBytes = (length) => {
    const result = new Uint8Array(length);
    for (let index = 0; index < length; index++) result[index] = next() * 256;
    return result;
  };
  const int = (low: number, high: number) => low + Math.floor(next() * (high - low + 1));
  return {
    next,
    between: (low, high) => low + next() * (high - low),
    int,
    chance: (probability) => next() < probability,
    pick: (items) => items[int(0, items.length - 1)]!,
    bytes,
    hex: (length) => `0x${Buffer.from(bytes(length)).toString("hex")}`,
    fork: (label) => createPrng(`${seed}/${label}`),
  };
}

/** Chris Doty-Humphrey's small fast counter generator with a state of 128 bits. */
function sfc32(seed: string): () => number {
  let [a, b, c, d] = [fnv(seed, 1), fnv(seed, 2), fnv(seed, 3), 1];
  const next = (): number => {
    const sum = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  };
  for (let round = 0; round < 15; round++) next();
  return next;
}

function fnv(text: string, salt: number): number {
  let hash = 0x811c9dc5 ^ salt;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash | 0;
}
