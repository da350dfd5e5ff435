import { type GgufTensor, type GgufValue, writeGguf } from "./gguf-writer.ts";
import { isWord, tinyVocabulary } from "./tiny-vocabulary.ts";
import { encodeWeights, seededNormal, type WeightType, weightTypeNumbers } from "./weights.ts";

export type TinyModelOptions = {
  /** Equal options give equal bytes, on every platform. */
  seed?: number;
  /** Width; a multiple of 32 and of `heads`. */
  dim?: number;
  layers?: number;
  heads?: number;
  kvHeads?: number;
  /** Width of the feed-forward part; a multiple of 32. */
  ff?: number;
  /** Tokens. */
  contextLength?: number;
  type?: WeightType;
  name?: string;
  /**
   * What the model can say. `words`: words only, and it never stops by itself. `anything`: every token, so also single bytes that are
   * not valid UTF-8, and the end of the text.
   */
  says?: "words" | "anything";
  /** Metadata keys to leave out, for tests of damaged files. */
  omit?: string[];
};

/**
 * Makes a real model of the llama architecture with random weights. What it says is noise by design, yet llama.cpp runs it like any
 * other model, and the same seed says the same everywhere.
 * @throws RangeError when the sizes do not fit together.
 */
export function buildTinyModel(options: TinyModelOptions = {}): Uint8Array {
  const { seed = 1, dim = 64, layers = 3, heads = 4, kvHeads = 2, ff = 128 } = options;
  const { contextLength = 2048, type = "f32", name = "blindference-tiny", says = "words", omit = [] } = options;
  if (dim % 32 || ff % 32 || dim % (2 * heads) || heads % kvHeads)
    throw new RangeError("dim and ff must be multiples of 32, dim of 2 · heads, heads of kvHeads");
  const vocabulary = tinyVocabulary();
  const { tokens } = vocabulary;
  const mayFollow = (token: number) => says === "anything" || isWord(tokens[token]!);
  const metadata: [string, GgufValue][] = [
    ["general.architecture", { type: "string", value: "llama" }],
    ["general.name", { type: "string", value: name }],
    ["general.file_type", { type: "u32", value: { f32: 0, f16: 1, q8_0: 7 }[type] }],
    ["llama.context_length", { type: "u32", value: contextLength }],
    ["llama.embedding_length", { type: "u32", value: dim }],
    ["llama.block_count", { type: "u32", value: layers }],
    ["llama.feed_forward_length", { type: "u32", value: ff }],
    ["llama.attention.head_count", { type: "u32", value: heads }],
    ["llama.attention.head_count_kv", { type: "u32", value: kvHeads }],
    ["llama.attention.layer_norm_rms_epsilon", { type: "f32", value: 1e-5 }],
    ["llama.rope.dimension_count", { type: "u32", value: dim / heads }],
    ["llama.vocab_size", { type: "u32", value: tokens.length }],
    ["tokenizer.ggml.model", { type: "string", value: "llama" }],
    ["tokenizer.ggml.tokens", { type: "string[]", value: tokens }],
    ["tokenizer.ggml.scores", { type: "f32[]", value: vocabulary.scores }],
    ["tokenizer.ggml.token_type", { type: "i32[]", value: vocabulary.types }],
    ["tokenizer.ggml.bos_token_id", { type: "u32", value: 1 }],
    ["tokenizer.ggml.eos_token_id", { type: "u32", value: 2 }],
    ["tokenizer.ggml.unknown_token_id", { type: "u32", value: 0 }],
    ["tokenizer.ggml.add_bos_token", { type: "bool", value: true }],
    ["tokenizer.ggml.add_eos_token", { type: "bool", value: false }],
  ];
  const sizes = { dim, ff, layers, kvDim: (dim / heads) * kvHeads, vocabulary: tokens.length };
  return writeGguf({
    metadata: metadata.filter(([key]) => !omit.includes(key)),
    tensors: buildTensors(sizes, type, seededNormal(seed), mayFollow),
  });
}

type Sizes = { dim: number; ff: number; layers: number; kvDim: number; vocabulary: number };

function buildTensors(sizes: Sizes, type: WeightType, normal: () => number, mayFollow: (token: number) => boolean) {
  const { dim, ff, kvDim, vocabulary } = sizes;
  const tensors: GgufTensor[] = [];
  const matrix = (name: string, inputs: number, outputs: number, deviation: number, keep = (_row: number) => true) => {
    const values = new Float32Array(inputs * outputs);
    for (let row = 0; row < outputs; row++)
      for (let column = 0; column < inputs; column++) {
        const value = normal() * deviation;
        // A row of zeros gives its token the logit 0, and among many random ones a larger one is always found.
        values[row * inputs + column] = keep(row) ? value : 0;
      }
    tensors.push({ name, shape: [inputs, outputs], type: weightTypeNumbers[type], data: encodeWeights(values, type) });
  };
  const vector = (name: string) => {
    const values = Float32Array.from({ length: dim }, () => 1 + normal() * 0.05);
    tensors.push({ name, shape: [dim], type: weightTypeNumbers.f32, data: encodeWeights(values, "f32") });
  };
  const wide = 2 / Math.sqrt(dim);
  const narrow = 1.5 / Math.sqrt(dim);
  matrix("token_embd.weight", dim, vocabulary, 1);
  for (let layer = 0; layer < sizes.layers; layer++) {
    const block = `blk.${layer}`;
    vector(`${block}.attn_norm.weight`);
    matrix(`${block}.attn_q.weight`, dim, dim, wide);
    matrix(`${block}.attn_k.weight`, dim, kvDim, wide);
    matrix(`${block}.attn_v.weight`, dim, kvDim, narrow);
    matrix(`${block}.attn_output.weight`, dim, dim, narrow);
    vector(`${block}.ffn_norm.weight`);
    matrix(`${block}.ffn_gate.weight`, dim, ff, wide);
    matrix(`${block}.ffn_up.weight`, dim, ff, wide);
    matrix(`${block}.ffn_down.weight`, ff, dim, 2 / Math.sqrt(ff));
  }
  vector("output_norm.weight");
  matrix("output.weight", dim, vocabulary, wide, mayFollow);
  return tensors;
}
