/** A number as IEEE 754 half, rounded to the nearest: what ggml stores for a scale. */
export function halves(values: ArrayLike<number>): Uint8Array {
  return new Uint8Array(Float16Array.from(values).buffer);
}

/** Blocks of 32: a half that is the scale, then 32 signed bytes. 34 bytes. */
export function quantiseQ8_0(values: Float32Array): Uint8Array {
  return blocks(values, { elements: 32, bytes: 34 }, (numbers, block) => {
    const scale = largestOf(numbers) / 127;
    block.set(halves([scale]));
    if (scale > 0) for (let i = 0; i < 32; i++) block[2 + i] = Math.round(numbers[i]! / scale) & 255;
  });
}

/**
 * Blocks of 32: a half that is the scale, then 16 bytes with the numbers 0–15 of two places that lie 16 apart; 8 stands for zero.
 * The number that is farthest from zero becomes -8, so that it is kept exactly. 18 bytes.
 */
export function quantiseQ4_0(values: Float32Array): Uint8Array {
  return blocks(values, { elements: 32, bytes: 18 }, (numbers, block) => {
    const farthest = numbers.reduce((max, value) => (Math.abs(value) > Math.abs(max) ? value : max), 0);
    const scale = farthest / -8;
    block.set(halves([scale]));
    const level = (value: number) => (scale === 0 ? 8 : Math.min(15, Math.trunc(value / scale + 8.5)));
    for (let i = 0; i < 16; i++) block[2 + i] = level(numbers[i]!) | (level(numbers[i + 16]!) << 4);
  });
}

/** How a block of 32 inside a block of Q4_K is spread over the levels 0–15: `level · scale - offset`. */
type Spread = { scale: number; offset: number };

/**
 * Blocks of 256 in eight parts of 32. Each part has a scale and an offset of 6 bits, which count in units of two halves at the front;
 * 12 bytes hold those sixteen, then 128 bytes the levels 0–15 of two parts that follow each other. 144 bytes.
 */
export function quantiseQ4_K(values: Float32Array): Uint8Array {
  return blocks(values, { elements: 256, bytes: 144 }, (numbers, block) => {
    const parts = Array.from({ length: 8 }, (_, part) => numbers.subarray(part * 32, part * 32 + 32));
    const spreads = parts.map(spreadOf);
    const units = {
      scale: half(Math.max(...spreads.map(({ scale }) => scale)) / 63),
      offset: half(Math.max(...spreads.map(({ offset }) => offset)) / 63),
    };
    const steps = spreads.map(({ scale, offset }) => ({
      scale: sixBits(scale, units.scale),
      offset: sixBits(offset, units.offset),
    }));
    block.set(halves([units.scale, units.offset]));
    packSixBits(steps, block.subarray(4, 16));
    const levels = parts.map((part, index) => {
      const { scale, offset } = steps[index]!;
      return levelsOf(part, { scale: scale * units.scale, offset: offset * units.offset });
    });
    for (let pair = 0; pair < 4; pair++)
      for (let i = 0; i < 32; i++) block[16 + pair * 32 + i] = levels[pair * 2]![i]! | (levels[pair * 2 + 1]![i]! << 4);
  });
}

function spreadOf(numbers: Float32Array): Spread {
  // A part whose numbers are all positive starts at zero: an offset cannot be negative.
  const lowest = Math.min(0, ...numbers);
  return { scale: (Math.max(0, ...numbers) - lowest) / 15, offset: -lowest };
}

function sixBits(value: number, unit: number): number {
  return unit === 0 ? 0 : Math.min(63, Math.round(value / unit));
}

function levelsOf(numbers: Float32Array, { scale, offset }: Spread): number[] {
  return Array.from(numbers, (value) =>
    scale === 0 ? 0 : Math.max(0, Math.min(15, Math.round((value + offset) / scale))),
  );
}

/** The first four parts' numbers fill the low six bits of eight bytes; the others' are split over four more and the high bits. */
function packSixBits(parts: Spread[], out: Uint8Array): void {
  for (let part = 0; part < 4; part++) {
    out[part] = parts[part]!.scale;
    out[part + 4] = parts[part]!.offset;
  }
  for (let part = 4; part < 8; part++) {
    const { scale, offset } = parts[part]!;
    out[part + 4] = (scale & 15) | ((offset & 15) << 4);
    out[part - 4]! |= (scale >> 4) << 6;
    out[part]! |= (offset >> 4) << 6;
  }
}

function half(value: number): number {
  return Math.f16round(value);
}

function largestOf(numbers: Float32Array): number {
  return numbers.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
}

type BlockShape = { elements: number; bytes: number };

function blocks(values: Float32Array, shape: BlockShape, fill: (numbers: Float32Array, block: Uint8Array) => void) {
  const { elements, bytes } = shape;
  if (values.length % elements) throw new RangeError(`${values.length} numbers are not blocks of ${elements}`);
  const encoded = new Uint8Array((values.length / elements) * bytes);
  for (let block = 0; block < values.length / elements; block++)
    fill(
      values.subarray(block * elements, (block + 1) * elements),
      encoded.subarray(block * bytes, (block + 1) * bytes),
    );
  return encoded;
}
