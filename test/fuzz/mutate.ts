import fc, { type Arbitrary } from "fast-check";

type ByteChange = {
  kind: "flip" | "set" | "insert" | "remove" | "copy" | "cut";
  at: number;
  length: number;
  value: number;
};

const interesting = [0, 1, 0x7f, 0x80, 0xff, 0x0a, 0x22, 0x7b];

const byteChange: Arbitrary<ByteChange> = fc.record({
  kind: fc.constantFrom("flip", "set", "insert", "remove", "copy", "cut"),
  // Structure stands at the beginning of most formats.
  at: fc.oneof({ weight: 2, arbitrary: fc.nat(64) }, fc.nat(1 << 20)),
  length: fc.integer({ min: 1, max: 16 }),
  value: fc.oneof(fc.constantFrom(...interesting), fc.nat(255)),
});

/** One of the samples with some of its bytes changed, and now and then bytes that nobody made. */
export function mutatedBytes(samples: readonly Uint8Array[]): Arbitrary<Uint8Array> {
  const mutated = fc
    .tuple(fc.constantFrom(...samples), fc.array(byteChange, { maxLength: 6 }))
    .map(([sample, changes]) => changes.reduce(applyByteChange, sample));
  return fc.oneof({ weight: 9, arbitrary: mutated }, fc.uint8Array({ maxLength: 200 }));
}

function applyByteChange(bytes: Uint8Array, { kind, at: place, length, value }: ByteChange): Uint8Array {
  const at = bytes.length === 0 ? 0 : place % bytes.length;
  if (kind === "cut") return bytes.slice(0, at);
  if (kind === "remove") return joined(bytes.subarray(0, at), bytes.subarray(at + length));
  if (kind === "insert") return joined(bytes.subarray(0, at), new Uint8Array(length).fill(value), bytes.subarray(at));
  if (kind === "copy") return joined(bytes.subarray(0, at + length), bytes.subarray(at));
  const changed = bytes.slice();
  for (let index = at; index < Math.min(at + length, bytes.length); index++)
    changed[index] = kind === "set" ? value : changed[index]! ^ (1 << (value & 7));
  return changed;
}

function joined(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** Texts that break what was not written for them. */
export const hostileText: Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    "",
    " ",
    "\u0000",
    "\u001b[2J",
    "\u202e",
    "\ud800",
    "\ufeff",
    "__proto__",
    "constructor",
    "../../etc/passwd",
    "%00",
    "%zz",
    "0x",
    "-0",
    "1e309",
    "NaN",
    "Infinity",
    "null",
    "٣",
    "Å".normalize("NFD"),
    "a".repeat(100_000),
  ),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.bigInt({ min: -(2n ** 260n), max: 2n ** 260n }).map(String),
);

/** A JSON value as text, since some of these have no value in JavaScript. */
const hostileJson: Arbitrary<string> = fc.oneof(
  hostileText.map((text) => JSON.stringify(text)),
  fc.constantFrom(
    "null",
    "true",
    "[]",
    "{}",
    "-1",
    "0",
    "1.5",
    "1e400",
    "-0",
    "NaN",
    "115792089237316195423570985008687907853269984665640564039457584007913129639936",
  ),
  fc.constantFrom(
    '{"__proto__":{"polluted":true}}',
    '{"constructor":{"prototype":{"polluted":true}}}',
    "[".repeat(2000) + "]".repeat(2000),
  ),
  fc.json({ maxDepth: 2 }),
);

type JsonChange = { path: number[]; kind: "replace" | "remove" | "twice" | "rename"; text: string; key: string };

const jsonChange: Arbitrary<JsonChange> = fc.record({
  path: fc.array(fc.nat(30), { minLength: 1, maxLength: 5 }),
  kind: fc.constantFrom("replace", "replace", "remove", "twice", "rename"),
  text: hostileJson,
  key: hostileText,
});

/** The text of one of the samples with some of its values changed, and now and then with bytes changed. */
export function mutatedJson(samples: readonly unknown[]): Arbitrary<string> {
  const changed = fc
    .tuple(fc.constantFrom(...samples), fc.array(jsonChange, { maxLength: 3 }))
    .map(([sample, changes]) => write(sample, changes));
  const texts = samples.map((sample) => new TextEncoder().encode(JSON.stringify(sample)));
  const damaged = mutatedBytes(texts).map((bytes) => new TextDecoder().decode(bytes));
  return fc.oneof({ weight: 5, arbitrary: changed }, { weight: 2, arbitrary: damaged }, hostileJson);
}

/** Writes JSON by hand, so that keys can stand twice and numbers be of any size. */
function write(value: unknown, changes: readonly JsonChange[], depth = 0): string {
  const here = (index: number, size: number) => changes.filter(({ path }) => path[depth]! % size === index);
  const inner = (item: unknown, own: JsonChange[]): string => {
    const last = own.find(({ path }) => path.length === depth + 1 || typeof item !== "object" || item === null);
    if (last?.kind === "replace") return last.text;
    return write(
      item,
      own.filter(({ path }) => path.length > depth + 1),
      depth + 1,
    );
  };
  if (Array.isArray(value)) {
    const items = value.map((item, index) => inner(item, here(index, value.length)));
    return `[${items.join(",")}]`;
  }
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const entries = Object.entries(value);
  const parts = entries.flatMap(([key, item], index) => {
    const own = here(index, entries.length);
    const last = own.find(({ path }) => path.length === depth + 1);
    const text = `${JSON.stringify(key)}:${inner(item, own)}`;
    if (last?.kind === "remove") return [];
    if (last?.kind === "twice") return [text, `${JSON.stringify(key)}:${last.text}`];
    return [last?.kind === "rename" ? `${JSON.stringify(last.key)}:${inner(item, own)}` : text];
  });
  return `{${parts.join(",")}}`;
}
