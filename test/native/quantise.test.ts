import { describe, expect, test } from "bun:test";
import { quantiseQ4_0, quantiseQ4_K, quantiseQ8_0 } from "../../native/quantise.ts";
import { encodeWeights, seededNormal } from "../../native/weights.ts";

/** Readers of ggml's blocks, written from their definition and not from the writers. */
const readers = {
  q8_0: (block: DataView) => Array.from({ length: 32 }, (_, i) => block.getFloat16(0, true) * block.getInt8(2 + i)),
  q4_0: (block: DataView) =>
    Array.from({ length: 32 }, (_, i) => {
      const byte = block.getUint8(2 + (i % 16));
      return block.getFloat16(0, true) * ((i < 16 ? byte % 16 : byte >> 4) - 8);
    }),
  q4_k: (block: DataView) =>
    Array.from({ length: 256 }, (_, i) => {
      const part = i >> 5;
      const packed = (index: number) => block.getUint8(4 + index);
      const scale = part < 4 ? packed(part) & 63 : (packed(part + 4) & 15) + ((packed(part - 4) >> 6) << 4);
      const offset = part < 4 ? packed(part + 4) & 63 : (packed(part + 4) >> 4) + ((packed(part) >> 6) << 4);
      const byte = block.getUint8(16 + (part >> 1) * 32 + (i & 31));
      const level = part % 2 === 0 ? byte & 15 : byte >> 4;
      return block.getFloat16(0, true) * scale * level - block.getFloat16(2, true) * offset;
    }),
};

const sizes = { q8_0: [32, 34], q4_0: [32, 18], q4_k: [256, 144] } as const;

function decode(bytes: Uint8Array, type: keyof typeof readers): number[] {
  const [, length] = sizes[type];
  return Array.from({ length: bytes.length / length }, (_, block) =>
    readers[type](new DataView(bytes.buffer, bytes.byteOffset + block * length, length)),
  ).flat();
}

const normal = seededNormal(11);
const samples = Float32Array.from({ length: 2048 }, normal);

describe("quantised weights", () => {
  // Half a step: of 255 levels between -largest and largest, of 16 levels between them, of 16 levels between lowest and highest.
  test.each([
    ["q8_0", 1 / 254],
    ["q4_0", 1 / 8],
    ["q4_k", 1 / 15],
  ] as const)("of %s come back within half a step", (type, share) => {
    const back = decode(encodeWeights(samples, type), type);
    expect(back).toHaveLength(samples.length);
    for (let start = 0; start < samples.length; start += 32) {
      const part = samples.subarray(start, start + 32);
      const largest = Math.max(...part.map(Math.abs));
      // Scales are halves, with an error of 2^-11; those of Q4_K are whole sixty-thirds of the largest besides.
      const allowed = largest * (share + 2 ** -11) + (type === "q4_k" ? 16 * (largest / 7.5 / 63) : 0);
      for (const [i, value] of part.entries()) expect(Math.abs(back[start + i]! - value)).toBeLessThanOrEqual(allowed);
    }
  });

  test("that lie on the levels come back exactly", () => {
    const q4 = Float32Array.from({ length: 32 }, (_, i) => ((i % 16) - 8) / 4);
    expect(decode(quantiseQ4_0(q4), "q4_0")).toEqual([...q4]);
    const q8 = Float32Array.from({ length: 32 }, (_, i) => (i * 8 - 121) / 8);
    expect(decode(quantiseQ8_0(q8), "q8_0")).toEqual([...q8]);
    // Eight parts with scales 7, 14, … 63 and offsets of the same: each needs all its bits.
    const q4k = Float32Array.from({ length: 256 }, (_, i) => {
      const part = Math.min(63, ((i >> 5) + 2) * 7);
      return part * (i % 16) - part * 5;
    });
    const back = decode(quantiseQ4_K(q4k), "q4_k");
    for (const [i, value] of q4k.entries()) expect(Math.abs(back[i]! - value)).toBeLessThanOrEqual(3);
  });

  test("of zeros stay zeros", () => {
    const zeros = new Float32Array(256);
    for (const type of ["q8_0", "q4_0", "q4_k"] as const)
      expect(decode(encodeWeights(zeros, type), type).every((value) => value === 0)).toBe(true);
  });

  test("of one sign only come back too", () => {
    for (const sign of [1, -1])
      for (const type of ["q4_0", "q4_k"] as const) {
        const values = Float32Array.from({ length: 256 }, (_, i) => sign * (1 + (i % 7)));
        const back = decode(encodeWeights(values, type), type);
        for (const [i, value] of values.entries()) expect(Math.abs(back[i]! - value)).toBeLessThan(1);
      }
  });

  test("must be whole blocks", () => {
    expect(() => encodeWeights(new Float32Array(33), "q8_0")).toThrow(RangeError);
    expect(() => encodeWeights(new Float32Array(128), "q4_k")).toThrow(RangeError);
  });
});
