import { describe, expect, test } from "bun:test";
import type { TinyArchitecture } from "../../native/tiny-architectures.ts";
import { buildTinyModel } from "../../native/tiny-model.ts";
import { tinyVocabulary, tokenType } from "../../native/tiny-vocabulary.ts";
import { encodeWeights, seededNormal } from "../../native/weights.ts";
import { readGguf } from "../../src/inference/llama/gguf.ts";

function headerOf(bytes: Uint8Array) {
  return readGguf({
    size: bytes.length,
    read: (target, offset) => {
      const part = bytes.subarray(offset, offset + target.length);
      target.set(part);
      return part.length;
    },
  });
}

describe("buildTinyModel", () => {
  test("gives equal bytes for equal options and others for another seed", () => {
    expect(Buffer.from(buildTinyModel({ seed: 5 })).equals(buildTinyModel({ seed: 5 }))).toBe(true);
    expect(Buffer.from(buildTinyModel({ seed: 5 })).equals(buildTinyModel({ seed: 6 }))).toBe(false);
  });

  test.each(["f32", "f16", "q8_0", "q4_0"] as const)("writes a GGUF of %s that says what was asked for", (type) => {
    const bytes = buildTinyModel({ dim: 96, layers: 2, heads: 3, kvHeads: 1, ff: 64, contextLength: 777, type });
    const { metadata, tensors, architecture, contextLength } = headerOf(bytes);
    expect(architecture).toBe("llama");
    expect(contextLength).toBe(777);
    expect(metadata.get("llama.embedding_length")).toBe(96);
    expect(metadata.get("llama.block_count")).toBe(2);
    expect(tensors).toHaveLength(2 * 9 + 3);
    expect(tensors.find(({ name }) => name === "blk.1.attn_k.weight")?.shape).toEqual([96, 32]);
  });

  test("holds a context of at least 2048 tokens by default", () => {
    expect(headerOf(buildTinyModel()).contextLength).toBeGreaterThanOrEqual(2048);
  });

  test("has a chat template and further control tokens if they are asked for", () => {
    const chatTemplate = "{% for message in messages %}<|im_start|>{{ message['content'] }}<|im_end|>{% endfor %}";
    const controlTokens = ["<|im_start|>", "<|im_end|>"];
    const { metadata } = headerOf(buildTinyModel({ chatTemplate, controlTokens }));
    expect(metadata.get("tokenizer.chat_template")).toBe(chatTemplate);
    expect(headerOf(buildTinyModel()).metadata.has("tokenizer.chat_template")).toBe(false);
    const { tokens, types } = tinyVocabulary(controlTokens);
    expect(controlTokens.map((token) => types[tokens.indexOf(token)])).toEqual([tokenType.control, tokenType.control]);
    expect(tokens.slice(0, 300)).toEqual(tinyVocabulary().tokens.slice(0, 300));
  });

  test("has what its architecture asks for", () => {
    const namesOf = (architecture: TinyArchitecture) =>
      headerOf(buildTinyModel({ architecture, layers: 1 })).tensors.map(({ name }) => name.replace("blk.0.", ""));
    expect(namesOf("qwen2")).toContain("attn_k.bias");
    expect(namesOf("qwen3")).toContain("attn_q_norm.weight");
    expect(namesOf("gemma2")).toContain("post_ffw_norm.weight");
    expect(namesOf("gemma2")).not.toContain("output.weight");
    expect(namesOf("phi3")).toContain("attn_qkv.weight");
  });

  test("leaves out the keys that are to be omitted", () => {
    expect(() => headerOf(buildTinyModel({ omit: ["llama.feed_forward_length"] }))).toThrow(
      "llama.feed_forward_length",
    );
  });

  test("refuses sizes that do not fit together", () => {
    expect(() => buildTinyModel({ dim: 65 })).toThrow(RangeError);
    expect(() => buildTinyModel({ dim: 128, type: "q4_k" })).toThrow(RangeError);
    expect(() => buildTinyModel({ heads: 4, kvHeads: 3 })).toThrow(RangeError);
  });
});

describe("weights", () => {
  test("are about normally distributed", () => {
    const normal = seededNormal(3);
    const values = Array.from({ length: 20_000 }, normal);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(0.05);
    expect(Math.abs(variance - 1)).toBeLessThan(0.05);
  });

  test("are halves as IEEE 754 has them", () => {
    const halves = (values: number[]) => [...new Uint16Array(encodeWeights(Float32Array.from(values), "f16").buffer)];
    expect(halves([0, 1, -2, 0.5, 65504, 2 ** -24])).toEqual([0, 0x3c00, 0xc000, 0x3800, 0x7bff, 1]);
  });

  test("of zeros stay zeros in q8_0", () => {
    expect(encodeWeights(new Float32Array(32), "q8_0")).toEqual(new Uint8Array(34));
  });
});
