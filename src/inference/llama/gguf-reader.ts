/** A file of known length that can be read anywhere: a GGUF's header is at its start, but may be many megabytes long. */
export type RandomAccess = {
  /** Bytes. */
  size: number;
  /** Fills as much of `target` as the file has from `offset` on, and returns how many bytes that were. */
  read(target: Uint8Array, offset: number): number;
};

/** The file ended before the header did. */
export class UnexpectedEnd extends Error {}

/** The header says something that no GGUF can say. */
export class Malformed extends Error {}

/** What the checks need to know of a value: numbers and strings themselves, of an array only how long it is and what it holds. */
export type GgufMetadataValue = number | bigint | boolean | string | GgufArray;
export type GgufArray = {
  itemType: number;
  length: number;
  first: number | bigint | undefined;
  /** Whether a text appears twice; only known where it was asked for. */
  hasDuplicates?: boolean;
};

const windowSize = 256 * 1024;
const fixedSizes: Record<number, number> = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };
const stringType = 8;
const arrayType = 9;
const maxStringLength = 16 * 1024 * 1024;

export type GgufReader = ReturnType<typeof ggufReader>;

/** Reads the little-endian values of a GGUF one after the other, through a window of 256 KiB. */
export function ggufReader(file: RandomAccess) {
  const window = new Uint8Array(windowSize);
  const view = new DataView(window.buffer);
  let windowStart = 0;
  let windowLength = 0;
  let position = 0;

  /** Makes `length` (at most a window) bytes available and returns where in the window they begin. */
  const need = (length: number): number => {
    if (position + length > file.size) throw new UnexpectedEnd();
    if (position < windowStart || position + length > windowStart + windowLength) {
      windowStart = position;
      windowLength = file.read(window, position);
      if (windowLength < length) throw new UnexpectedEnd();
    }
    const start = position - windowStart;
    position += length;
    return start;
  };
  const skip = (length: number) => {
    if (position + length > file.size) throw new UnexpectedEnd();
    position += length;
  };
  const u32 = () => view.getUint32(need(4), true);
  const u64 = () => {
    const value = view.getBigUint64(need(8), true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new Malformed("a length is impossible");
    return Number(value);
  };
  const string = (): string => {
    const length = u64();
    if (position + length > file.size) throw new UnexpectedEnd();
    if (length > maxStringLength) throw new Malformed("a text is too long");
    if (length <= windowSize) {
      const start = need(length);
      return new TextDecoder().decode(window.subarray(start, start + length));
    }
    const bytes = new Uint8Array(length);
    if (file.read(bytes, position) < length) throw new UnexpectedEnd();
    position += length;
    return new TextDecoder().decode(bytes);
  };
  const scalar = (type: number): number | bigint | boolean => {
    const start = need(fixedSizes[type] ?? 0);
    if (type === 0) return view.getUint8(start);
    if (type === 1) return view.getInt8(start);
    if (type === 2) return view.getUint16(start, true);
    if (type === 3) return view.getInt16(start, true);
    if (type === 4) return view.getUint32(start, true);
    if (type === 5) return view.getInt32(start, true);
    if (type === 6) return view.getFloat32(start, true);
    if (type === 7) return view.getUint8(start) !== 0;
    if (type === 10) return view.getBigUint64(start, true);
    if (type === 11) return view.getBigInt64(start, true);
    if (type === 12) return view.getFloat64(start, true);
    throw new Malformed(`value type ${type} does not exist`);
  };
  /** Passes over texts, and tells whether two of them that are not empty are equal. */
  const strings = (count: number, compare: boolean): boolean => {
    const seen = new Set<string>();
    let distinct = 0;
    for (let i = 0; i < count; i++) {
      const length = u64();
      if (!compare || length === 0 || length > windowSize) {
        skip(length);
        distinct++;
        continue;
      }
      const start = need(length);
      const text = Buffer.from(window.buffer, start, length).toString("latin1");
      if (!seen.has(text)) distinct++;
      seen.add(text);
    }
    return distinct < count;
  };
  const array = (compare: boolean): GgufArray => {
    const itemType = u32();
    const length = u64();
    const size = fixedSizes[itemType];
    if (size === undefined && itemType !== stringType) throw new Malformed("an array holds what no array can hold");
    if (length * (size ?? 8) > file.size) throw new UnexpectedEnd();
    if (size === undefined) return { itemType, length, first: undefined, hasDuplicates: strings(length, compare) };
    const end = position + length * size;
    const value = length > 0 ? scalar(itemType) : undefined;
    position = end;
    skip(0);
    return { itemType, length, first: typeof value === "boolean" ? undefined : value };
  };
  const value = (compareTexts = false): GgufMetadataValue => {
    const type = u32();
    if (type === stringType) return string();
    return type === arrayType ? array(compareTexts) : scalar(type);
  };
  return { u32, u64, string, value, position: () => position };
}
