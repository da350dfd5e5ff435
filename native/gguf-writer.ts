/** A value of a GGUF's metadata with its type; arrays are of one type. */
export type GgufValue =
  | { type: "u32" | "f32"; value: number }
  | { type: "bool"; value: boolean }
  | { type: "string"; value: string }
  | { type: "f32[]" | "i32[]"; value: number[] }
  | { type: "string[]"; value: string[] };

/** A tensor: `shape[0]` is the dimension that varies fastest, `type` one of ggml's numbers. */
export type GgufTensor = { name: string; shape: number[]; type: number; data: Uint8Array };

export type GgufContent = { metadata: [key: string, value: GgufValue][]; tensors: GgufTensor[] };

const alignment = 32;
const typeNumbers = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 } as const;

/** Writes a GGUF of version 3, little-endian. */
export function writeGguf({ metadata, tensors }: GgufContent): Uint8Array {
  const out = byteWriter();
  out.bytes(new TextEncoder().encode("GGUF"));
  out.u32(3);
  out.u64(tensors.length);
  out.u64(metadata.length);
  for (const [key, value] of metadata) {
    out.string(key);
    writeValue(out, value);
  }
  let offset = 0;
  for (const tensor of tensors) {
    out.string(tensor.name);
    out.u32(tensor.shape.length);
    for (const size of tensor.shape) out.u64(size);
    out.u32(tensor.type);
    out.u64(offset);
    offset += Math.ceil(tensor.data.length / alignment) * alignment;
  }
  out.pad(alignment);
  for (const tensor of tensors) {
    out.bytes(tensor.data);
    out.pad(alignment);
  }
  return out.finish();
}

type ByteWriter = ReturnType<typeof byteWriter>;

function writeValue(out: ByteWriter, value: GgufValue): void {
  if (value.type.endsWith("[]")) {
    const item = value.type.slice(0, -2) as "f32" | "i32" | "string";
    const items = value.value as (number | string)[];
    out.u32(typeNumbers.array);
    out.u32(typeNumbers[item]);
    out.u64(items.length);
    for (const element of items) {
      if (typeof element === "string") out.string(element);
      else if (item === "f32") out.f32(element);
      else out.u32(element);
    }
    return;
  }
  out.u32(typeNumbers[value.type as "u32" | "f32" | "bool" | "string"]);
  if (value.type === "u32") out.u32(value.value);
  else if (value.type === "f32") out.f32(value.value);
  else if (value.type === "bool") out.bytes(Uint8Array.of(value.value ? 1 : 0));
  else if (value.type === "string") out.string(value.value);
}

function byteWriter() {
  const chunks: Uint8Array[] = [];
  let length = 0;
  const bytes = (chunk: Uint8Array) => {
    chunks.push(chunk);
    length += chunk.length;
  };
  const number = (size: number, write: (view: DataView) => void) => {
    const chunk = new Uint8Array(size);
    write(new DataView(chunk.buffer));
    bytes(chunk);
  };
  const u64 = (value: number) => number(8, (view) => view.setBigUint64(0, BigInt(value), true));
  return {
    bytes,
    u64,
    u32: (value: number) => number(4, (view) => view.setUint32(0, value, true)),
    f32: (value: number) => number(4, (view) => view.setFloat32(0, value, true)),
    string: (text: string) => {
      const encoded = new TextEncoder().encode(text);
      u64(encoded.length);
      bytes(encoded);
    },
    pad: (to: number) => {
      const rest = length % to;
      if (rest > 0) bytes(new Uint8Array(to - rest));
    },
    finish: () => {
      const result = new Uint8Array(length);
      let position = 0;
      for (const chunk of chunks) {
        result.set(chunk, position);
        position += chunk.length;
      }
      return result;
    },
  };
}
