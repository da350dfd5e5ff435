import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type GgufValue, writeGguf } from "../../../native/gguf-writer.ts";
import { buildTinyModel } from "../../../native/tiny-model.ts";
import { readGguf, readGgufFile } from "../../../src/inference/llama/gguf.ts";
import { BlfError } from "../../../src/lib/errors.ts";
import { failureOf, temporaryDirectory } from "../fixture.ts";

const model = buildTinyModel({ layers: 1, dim: 32, ff: 32 });

function read(bytes: Uint8Array) {
  return readGguf({
    size: bytes.length,
    read: (target, offset) => {
      const part = bytes.subarray(offset, offset + target.length);
      target.set(part);
      return part.length;
    },
  });
}

/** The code of the error, or "" for a file that is accepted. Anything but a BlfError fails the test. */
function codeOf(bytes: Uint8Array): string {
  try {
    read(bytes);
    return "";
  } catch (error) {
    if (error instanceof BlfError) return error.code;
    throw error;
  }
}

function seededBytes(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 8;
  };
}

const minimal: [string, GgufValue][] = [
  ["general.architecture", { type: "string", value: "llama" }],
  ["llama.block_count", { type: "u32", value: 1 }],
  ["llama.embedding_length", { type: "u32", value: 32 }],
  ["llama.context_length", { type: "u32", value: 64 }],
  ["llama.feed_forward_length", { type: "u32", value: 32 }],
  ["llama.attention.head_count", { type: "u32", value: 4 }],
  ["tokenizer.ggml.model", { type: "string", value: "llama" }],
  ["tokenizer.ggml.tokens", { type: "string[]", value: ["a", "b"] }],
  ["tokenizer.ggml.scores", { type: "f32[]", value: [0, 0] }],
];
const tensor = { name: "t", shape: [32], type: 0, data: new Uint8Array(128) };

/** A small valid file with some values changed. */
function changed(values: Record<string, GgufValue>, tensors = [tensor]): Uint8Array {
  const metadata = minimal.map(([key, value]): [string, GgufValue] => [key, values[key] ?? value]);
  const added = Object.entries(values).filter(([key]) => !minimal.some(([known]) => known === key));
  return writeGguf({ metadata: [...metadata, ...added], tensors });
}

describe("GGUF header", () => {
  let directory: ReturnType<typeof temporaryDirectory>;
  beforeAll(() => {
    directory = temporaryDirectory();
  });
  afterAll(() => directory.remove());

  test("of a good file is accepted, from memory and from the disk", () => {
    expect(codeOf(model)).toBe("");
    expect(codeOf(changed({}))).toBe("");
    expect(readGgufFile(directory.file("good.gguf", model))).toEqual(read(model));
  });

  test("cut off anywhere is MODEL_TRUNCATED", () => {
    for (let length = 4; length < model.length; length += length < 12_000 ? 13 : 1009)
      expect([length, codeOf(model.subarray(0, length))]).toEqual([length, "MODEL_TRUNCATED"]);
    expect(codeOf(model.subarray(0, model.length - 1))).toBe("MODEL_TRUNCATED");
  });

  test("that is something else is MODEL_NOT_GGUF", () => {
    for (const text of ["", "GGU", "<!doctype html>", "PK\x03\x04", "FUGG"])
      expect(codeOf(new TextEncoder().encode(text))).toBe("MODEL_NOT_GGUF");
    for (const version of [0, 1, 4, 0x03000000]) {
      const other = model.slice();
      new DataView(other.buffer).setUint32(4, version, true);
      expect(codeOf(other)).toBe("MODEL_NOT_GGUF");
    }
  });

  test.each([
    "general.architecture",
    "llama.context_length",
    "llama.embedding_length",
    "llama.block_count",
    "llama.feed_forward_length",
    "llama.attention.head_count",
    "tokenizer.ggml.model",
    "tokenizer.ggml.tokens",
    "tokenizer.ggml.scores",
  ])("without %s is MODEL_KEY_MISSING and names it", async (key) => {
    const error = await failureOf(() => read(buildTinyModel({ layers: 1, omit: [key] })));
    expect(error.code).toBe("MODEL_KEY_MISSING");
    expect(error.message).toContain(key);
  });

  test.each<[string, Record<string, GgufValue>]>([
    ["no layers", { "llama.block_count": { type: "u32", value: 0 } }],
    ["a width that is a text", { "llama.embedding_length": { type: "string", value: "32" } }],
    ["more layers than llama.cpp can take", { "llama.block_count": { type: "u32", value: 513 } }],
    ["key-value heads that do not divide its heads", { "llama.attention.head_count_kv": { type: "u32", value: 3 } }],
    ["a token twice", { "tokenizer.ggml.tokens": { type: "string[]", value: ["a", "a"] } }],
    ["an absurd width", { "llama.embedding_length": { type: "u32", value: 4_000_000_000 } }],
    ["a fractional width", { "llama.embedding_length": { type: "f32", value: 1.5 } }],
    ["heads that do not divide the width", { "llama.attention.head_count": { type: "u32", value: 5 } }],
    ["an alignment of 3", { "general.alignment": { type: "u32", value: 3 } }],
    ["an alignment of 0", { "general.alignment": { type: "u32", value: 0 } }],
    ["fewer scores than tokens", { "tokenizer.ggml.scores": { type: "f32[]", value: [0] } }],
    ["no tokens", { "tokenizer.ggml.tokens": { type: "string[]", value: [] } }],
    ["a BOS outside the vocabulary", { "tokenizer.ggml.bos_token_id": { type: "u32", value: 2 } }],
  ])("with %s is MODEL_CORRUPT", (_what, values) => {
    expect(codeOf(changed(values))).toBe("MODEL_CORRUPT");
  });

  test("with one number for each layer is accepted", () => {
    expect(codeOf(changed({ "llama.attention.head_count": { type: "i32[]", value: [4, 4] } }))).toBe("");
  });

  test("with impossible tensors is refused", () => {
    expect(codeOf(changed({}, []))).toBe("MODEL_CORRUPT");
    expect(codeOf(changed({}, [tensor, tensor]))).toBe("MODEL_CORRUPT");
    expect(codeOf(changed({}, [{ ...tensor, shape: [0] }]))).toBe("MODEL_CORRUPT");
    expect(codeOf(changed({}, [{ ...tensor, shape: [1, 1, 1, 1, 32] }]))).toBe("MODEL_CORRUPT");
    expect(codeOf(changed({}, [{ ...tensor, type: 8, shape: [31] }]))).toBe("MODEL_CORRUPT");
    expect(codeOf(changed({}, [{ ...tensor, shape: [2 ** 40, 2 ** 12] }]))).toBe("MODEL_TRUNCATED");
  });

  test("of a model that does not write is MODEL_ARCHITECTURE_UNSUPPORTED", () => {
    const code = codeOf(changed({ "general.architecture": { type: "string", value: "bert" } }));
    expect(code).toBe("MODEL_ARCHITECTURE_UNSUPPORTED");
  });

  test("with any bytes changed gives an error of ours or none", () => {
    const random = seededBytes(20_260_101);
    const codes = new Set<string>();
    const headerLength = 12_000;
    for (let round = 0; round < 1500; round++) {
      const fuzzed = model.slice();
      for (let flips = 1 + (random() % 6); flips > 0; flips--) {
        // Half of them where the counts and the keys of the model are, the others anywhere in the header.
        const range = flips % 2 ? 700 : headerLength;
        fuzzed[random() % range] = random() & 255;
      }
      codes.add(codeOf(fuzzed));
    }
    for (const expected of ["MODEL_NOT_GGUF", "MODEL_TRUNCATED", "MODEL_KEY_MISSING", "MODEL_CORRUPT"])
      expect([...codes]).toContain(expected);
  });

  test("of random bytes behind a good start gives an error of ours", () => {
    const random = seededBytes(7);
    for (let round = 0; round < 300; round++) {
      const bytes = Uint8Array.from({ length: 64 + (random() % 4000) }, () => random() & 255);
      bytes.set(model.subarray(0, 8));
      expect(codeOf(bytes)).toMatch(/^MODEL_/);
    }
  });

  test("of a file that is not there or is none has a code of its own", async () => {
    mkdirSync(join(directory.path, "folder.gguf"));
    expect((await failureOf(() => readGgufFile(join(directory.path, "none.gguf")))).code).toBe("MODEL_NOT_FOUND");
    expect((await failureOf(() => readGgufFile(join(directory.path, "folder.gguf")))).code).toBe("MODEL_UNREADABLE");
  });
});
