/** Storage of a matrix: 32-bit floats, 16-bit floats, or blocks of 32 signed bytes with a 16-bit scale. */
export type WeightType = "f32" | "f16" | "q8_0";

/** ggml's number of a weight type. */
export const weightTypeNumbers: Record<WeightType, number> = { f32: 0, f16: 1, q8_0: 8 };

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

/** Packs numbers as ggml stores them; for `q8_0` their count is a multiple of 32. */
export function encodeWeights(values: Float32Array, type: WeightType): Uint8Array {
  if (type === "f32") return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  if (type === "f16") return new Uint8Array(Uint16Array.from(values, float16).buffer);
  const encoded = new Uint8Array((values.length / 32) * 34);
  for (let block = 0; block < values.length / 32; block++) {
    const numbers = values.subarray(block * 32, block * 32 + 32);
    const largest = numbers.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
    const scale = largest / 127;
    const half = float16(scale);
    encoded[block * 34] = half & 255;
    encoded[block * 34 + 1] = half >> 8;
    if (scale > 0) for (let i = 0; i < 32; i++) encoded[block * 34 + 2 + i] = Math.round(numbers[i]! / scale) & 255;
  }
  return encoded;
}

const floatView = new DataView(new ArrayBuffer(4));

/** The bits of a number as IEEE 754 half, rounded towards zero. */
function float16(value: number): number {
  floatView.setFloat32(0, value);
  const bits = floatView.getUint32(0);
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 0xff) - 112;
  const mantissa = bits & 0x7fffff;
  if (exponent >= 31) return sign | 0x7c00;
  if (exponent > 0) return sign | (exponent << 10) | (mantissa >>> 13);
  return exponent < -10 ? sign : sign | (((mantissa | 0x800000) >>> (1 - exponent)) >>> 13);
}
