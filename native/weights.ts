import { halves, quantiseQ4_0, quantiseQ4_K, quantiseQ8_0 } from "./quantise.ts";

/** How a matrix is stored: floats of 32 or 16 bits, or one of ggml's blocks of small numbers with shared scales. */
export type WeightType = (typeof weightTypes)[number];

export const weightTypes = ["f32", "f16", "q8_0", "q4_0", "q4_k"] as const;

type Storage = {
  /** ggml's number of the type. */
  number: number;
  /** Number that `general.file_type` has for a file whose matrices are of the type. */
  fileType: number;
  /** A row is a whole number of blocks of so many. */
  block: number;
  encode(values: Float32Array): Uint8Array;
};

export const storageOf: Record<WeightType, Storage> = {
  f32: { number: 0, fileType: 0, block: 1, encode: (values) => new Uint8Array(values.slice().buffer) },
  f16: { number: 1, fileType: 1, block: 1, encode: halves },
  q8_0: { number: 8, fileType: 7, block: 32, encode: quantiseQ8_0 },
  q4_0: { number: 2, fileType: 2, block: 32, encode: quantiseQ4_0 },
  q4_k: { number: 12, fileType: 14, block: 256, encode: quantiseQ4_K },
};

/**
 * Packs numbers as ggml stores them.
 * @throws RangeError when they are no whole number of blocks
 */
export function encodeWeights(values: Float32Array, type: WeightType): Uint8Array {
  return storageOf[type].encode(values);
}

/**
 * Seeded numbers of about normal distribution. Only additions of exact fractions are used: Math.log and Math.cos differ in their last bit
 * between platforms, and then the same seed would give different models.
 */
export function seededNormal(seed: number): () => number {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  return () => {
    let sum = -6;
    for (let i = 0; i < 12; i++) sum += uniform();
    return sum;
  };
}
