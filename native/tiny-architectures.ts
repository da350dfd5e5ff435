import type { GgufTensor, GgufValue } from "./gguf-writer.ts";
import { encodeWeights, storageOf, type WeightType } from "./weights.ts";

export const tinyArchitectures = ["llama", "qwen2", "qwen3", "gemma2", "phi3"] as const;

/** A family of models as llama.cpp names it. */
export type TinyArchitecture = (typeof tinyArchitectures)[number];

export type TinySizes = {
  dim: number;
  ff: number;
  layers: number;
  heads: number;
  kvHeads: number;
  /** Tokens in the vocabulary. */
  vocabulary: number;
};

/** What a family adds to the keys that all have, without its own name in front. */
export const architectureKeys: Record<TinyArchitecture, (sizes: TinySizes) => [key: string, value: GgufValue][]> = {
  llama: () => [],
  qwen2: () => [],
  qwen3: (sizes) => headKeys(sizes),
  gemma2: (sizes) => [
    ...headKeys(sizes),
    ["attn_logit_softcapping", { type: "f32", value: 50 }],
    ["final_logit_softcapping", { type: "f32", value: 30 }],
    ["attention.sliding_window", { type: "u32", value: 128 }],
  ],
  phi3: () => [["attention.sliding_window", { type: "u32", value: 0 }]],
};

function headKeys({ dim, heads }: TinySizes): [string, GgufValue][] {
  return [
    ["attention.key_length", { type: "u32", value: dim / heads }],
    ["attention.value_length", { type: "u32", value: dim / heads }],
  ];
}

export type TinyTensorOptions = {
  architecture: TinyArchitecture;
  sizes: TinySizes;
  type: WeightType;
  normal: () => number;
  /** Whether the model may say a token. */
  mayFollow(token: number): boolean;
};

/** The tensors of a model, with random numbers of such a size that layers neither fade nor explode. */
export function tinyTensors(options: TinyTensorOptions): GgufTensor[] {
  const { architecture, sizes, mayFollow } = options;
  const { dim, ff, vocabulary } = sizes;
  const headDim = dim / sizes.heads;
  const kvDim = headDim * sizes.kvHeads;
  const { tensors, matrix, vector } = collector(options);
  const wide = 2 / Math.sqrt(dim);
  const narrow = 1.5 / Math.sqrt(dim);
  // With tied embeddings the last token would be said again and again if the layers did not drown it out.
  const loud = 1.5 * Math.sqrt(dim);
  const gemma = architecture === "gemma2";
  const every = () => 1;

  // Where the embeddings are the output matrix too, a token that may not follow has a very short one: the first norm makes it as
  // long as any other, while at the output it gives a logit near zero.
  if (gemma) matrix("token_embd.weight", [dim, vocabulary], 1 / Math.sqrt(dim), (row) => (mayFollow(row) ? 1 : 1 / 64));
  else matrix("token_embd.weight", [dim, vocabulary], 1, every);
  for (let layer = 0; layer < sizes.layers; layer++) {
    const block = `blk.${layer}`;
    vector(`${block}.attn_norm.weight`, dim, 1, 0.05);
    if (architecture === "phi3") {
      matrix(`${block}.attn_qkv.weight`, [dim, dim + 2 * kvDim], wide, every);
    } else {
      matrix(`${block}.attn_q.weight`, [dim, dim], wide, every);
      matrix(`${block}.attn_k.weight`, [dim, kvDim], wide, every);
      matrix(`${block}.attn_v.weight`, [dim, kvDim], narrow, every);
    }
    if (architecture === "qwen2") {
      vector(`${block}.attn_q.bias`, dim, 0, 0.5);
      vector(`${block}.attn_k.bias`, kvDim, 0, 0.5);
      vector(`${block}.attn_v.bias`, kvDim, 0, 0.5);
    }
    if (architecture === "qwen3") {
      vector(`${block}.attn_q_norm.weight`, headDim, 1, 0.05);
      vector(`${block}.attn_k_norm.weight`, headDim, 1, 0.05);
    }
    matrix(`${block}.attn_output.weight`, [dim, dim], narrow, every);
    // Gemma multiplies embeddings by the root of the width and adds what these norms make of a layer.
    if (gemma) vector(`${block}.post_attention_norm.weight`, dim, 2, 0.1);
    vector(`${block}.ffn_norm.weight`, dim, 1, 0.05);
    if (architecture === "phi3") {
      matrix(`${block}.ffn_up.weight`, [dim, 2 * ff], wide, every);
    } else {
      matrix(`${block}.ffn_gate.weight`, [dim, ff], wide, every);
      matrix(`${block}.ffn_up.weight`, [dim, ff], wide, every);
    }
    matrix(`${block}.ffn_down.weight`, [ff, dim], 2 / Math.sqrt(ff), every);
    if (gemma) vector(`${block}.post_ffw_norm.weight`, dim, loud, loud / 20);
  }
  vector("output_norm.weight", dim, 1, 0.05);
  // A row of zeros gives its token the logit 0, and among many random ones a larger one is always found.
  if (!gemma) matrix("output.weight", [dim, vocabulary], wide, (row) => (mayFollow(row) ? 1 : 0));
  return tensors;
}

function collector({ type, normal }: TinyTensorOptions) {
  const tensors: GgufTensor[] = [];
  const matrix = (
    name: string,
    [inputs, outputs]: [number, number],
    deviation: number,
    rowFactor: (row: number) => number,
  ) => {
    const values = new Float32Array(inputs * outputs);
    for (let row = 0; row < outputs; row++) {
      const factor = rowFactor(row);
      for (let column = 0; column < inputs; column++) {
        const value = normal() * deviation;
        values[row * inputs + column] = factor === 0 ? 0 : value * factor;
      }
    }
    tensors.push({ name, shape: [inputs, outputs], type: storageOf[type].number, data: encodeWeights(values, type) });
  };
  /** Norms and biases are floats of 32 bits in every model. */
  const vector = (name: string, size: number, mean: number, deviation: number) => {
    const values = Float32Array.from({ length: size }, () => mean + normal() * deviation);
    tensors.push({ name, shape: [size], type: storageOf.f32.number, data: encodeWeights(values, "f32") });
  };
  return { tensors, matrix, vector };
}
