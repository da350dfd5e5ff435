import type { GgufMetadata } from "./gguf-metadata.ts";
import { Malformed, UnexpectedEnd } from "./gguf-reader.ts";

export type TensorInfo = {
  name: string;
  /** The dimension that varies fastest comes first. */
  shape: number[];
  /** ggml's number of the element type. */
  type: number;
  /** Bytes from the start of the data section. */
  offset: number;
};

/** Elements per block and bytes per block of ggml's element types; types that were removed are left out. */
const blocks: Record<number, readonly [elements: number, bytes: number]> = {
  0: [1, 4],
  1: [1, 2],
  2: [32, 18],
  3: [32, 20],
  6: [32, 22],
  7: [32, 24],
  8: [32, 34],
  9: [32, 36],
  10: [256, 84],
  11: [256, 110],
  12: [256, 144],
  13: [256, 176],
  14: [256, 210],
  15: [256, 292],
  16: [256, 66],
  17: [256, 74],
  18: [256, 98],
  19: [256, 50],
  20: [32, 18],
  21: [256, 110],
  22: [256, 82],
  23: [256, 136],
  24: [1, 1],
  25: [1, 2],
  26: [1, 4],
  27: [1, 8],
  28: [1, 8],
  29: [256, 56],
  30: [1, 2],
  34: [256, 54],
  35: [256, 66],
  39: [32, 17],
};

type TensorCheck = { tensors: TensorInfo[]; metadata: GgufMetadata; headerEnd: number; fileSize: number };

/**
 * Checks that every tensor lies inside the file. Element types that are not known here are left to llama.cpp, which refuses them cleanly.
 * @throws Malformed, UnexpectedEnd
 */
export function checkTensors({ tensors, metadata, headerEnd, fileSize }: TensorCheck): void {
  if (tensors.length === 0) throw new Malformed("it has no tensors");
  const alignment = metadata.get("general.alignment") ?? 32;
  if (typeof alignment !== "number" || alignment < 1 || alignment > 65536 || !Number.isInteger(Math.log2(alignment)))
    throw new Malformed("its alignment is no power of two");
  const dataStart = Math.ceil(headerEnd / alignment) * alignment;
  const names = new Set<string>();
  for (const { name, shape, type, offset } of tensors) {
    if (names.has(name)) throw new Malformed("a tensor appears twice");
    names.add(name);
    if (shape.some((size) => size < 1)) throw new Malformed("a tensor is empty");
    if (offset % alignment !== 0) throw new Malformed("a tensor is not aligned");
    if (dataStart + offset + byteSize(shape, type) > fileSize) throw new UnexpectedEnd();
  }
}

function byteSize(shape: number[], type: number): number {
  const elements = shape.reduce((product, size) => product * size, 1);
  const [perBlock, bytes] = blocks[type] ?? [1, 0];
  if (shape[0]! % perBlock !== 0) throw new Malformed("a row of a tensor is not a whole number of blocks");
  return (elements / perBlock) * bytes;
}
