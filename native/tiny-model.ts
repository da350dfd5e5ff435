import { type GgufValue, writeGguf } from "./gguf-writer.ts";
import { architectureKeys, type TinyArchitecture, type TinySizes, tinyTensors } from "./tiny-architectures.ts";
import { isWord, tinyVocabulary, type Vocabulary } from "./tiny-vocabulary.ts";
import { seededNormal, storageOf, type WeightType } from "./weights.ts";

export type TinyModelOptions = {
  /** Equal options give equal bytes, on every platform. */
  seed?: number;
  architecture?: TinyArchitecture;
  /** Width; a multiple of 32 (of 256 for `q4_k`, which is then the default) and of 2 · `heads`. */
  dim?: number;
  layers?: number;
  heads?: number;
  kvHeads?: number;
  /** Width of the feed-forward part; a multiple of 32, or of 256 as `dim`. */
  ff?: number;
  /** Tokens. */
  contextLength?: number;
  type?: WeightType;
  name?: string;
  /**
   * What the model can say. `words`: words only, and it never stops by itself. `anything`: every token, so also single bytes that are
   * not valid UTF-8, control tokens, and the end of the text.
   */
  says?: "words" | "anything";
  /** Text of `tokenizer.chat_template`; without it the file has none. */
  chatTemplate?: string;
  /** Control tokens of the vocabulary besides `<s>` and `</s>`: `<|im_start|>`. llama.cpp takes `<|im_end|>` for the end of a turn. */
  controlTokens?: string[];
  /** Metadata keys to leave out, for tests of damaged files. */
  omit?: string[];
};

/**
 * Makes a real model with random weights. What it says is noise by design, yet llama.cpp runs it like any other model, and the same
 * seed says the same everywhere.
 * @throws RangeError when the sizes do not fit together.
 */
export function buildTinyModel(options: TinyModelOptions = {}): Uint8Array {
  const { seed = 1, architecture = "llama", type = "f32", says = "words", omit = [] } = options;
  const width = Math.max(32, storageOf[type].block);
  const { dim = Math.max(64, width), ff = Math.max(128, width), layers = 3, heads = 4, kvHeads = 2 } = options;
  if (dim % width || ff % width || dim % (2 * heads) || heads % kvHeads)
    throw new RangeError(`dim and ff must be multiples of ${width}, dim of 2 · heads, heads of kvHeads`);
  const vocabulary = tinyVocabulary(options.controlTokens);
  const { tokens } = vocabulary;
  const sizes = { dim, ff, layers, heads, kvHeads, vocabulary: tokens.length };
  const metadata = [...modelKeys(options, architecture, sizes, type), ...tokenizerKeys(options, vocabulary)];
  return writeGguf({
    metadata: metadata.filter(([key]) => !omit.includes(key)),
    tensors: tinyTensors({
      architecture,
      sizes,
      type,
      normal: seededNormal(seed),
      mayFollow: (token) => says === "anything" || isWord(tokens[token]!),
    }),
  });
}

type Keys = [key: string, value: GgufValue][];

function modelKeys(
  options: TinyModelOptions,
  architecture: TinyArchitecture,
  sizes: TinySizes,
  type: WeightType,
): Keys {
  const { contextLength = 2048, name = "blindference-tiny" } = options;
  const { dim, ff, layers, heads, kvHeads } = sizes;
  const own: Keys = [
    ["context_length", { type: "u32", value: contextLength }],
    ["embedding_length", { type: "u32", value: dim }],
    ["block_count", { type: "u32", value: layers }],
    ["feed_forward_length", { type: "u32", value: ff }],
    ["attention.head_count", { type: "u32", value: heads }],
    ["attention.head_count_kv", { type: "u32", value: kvHeads }],
    ["attention.layer_norm_rms_epsilon", { type: "f32", value: 1e-5 }],
    ["rope.dimension_count", { type: "u32", value: dim / heads }],
    ["vocab_size", { type: "u32", value: sizes.vocabulary }],
    ...architectureKeys[architecture](sizes),
  ];
  return [
    ["general.architecture", { type: "string", value: architecture }],
    ["general.name", { type: "string", value: name }],
    ["general.file_type", { type: "u32", value: storageOf[type].fileType }],
    ...own.map(([key, value]): Keys[number] => [`${architecture}.${key}`, value]),
  ];
}

function tokenizerKeys({ chatTemplate }: TinyModelOptions, { tokens, scores, types }: Vocabulary): Keys {
  return [
    ["tokenizer.ggml.model", { type: "string", value: "llama" }],
    ["tokenizer.ggml.tokens", { type: "string[]", value: tokens }],
    ["tokenizer.ggml.scores", { type: "f32[]", value: scores }],
    ["tokenizer.ggml.token_type", { type: "i32[]", value: types }],
    ["tokenizer.ggml.bos_token_id", { type: "u32", value: 1 }],
    ["tokenizer.ggml.eos_token_id", { type: "u32", value: 2 }],
    ["tokenizer.ggml.unknown_token_id", { type: "u32", value: 0 }],
    ["tokenizer.ggml.add_bos_token", { type: "bool", value: true }],
    ["tokenizer.ggml.add_eos_token", { type: "bool", value: false }],
    ...(chatTemplate === undefined
      ? []
      : ([["tokenizer.chat_template", { type: "string", value: chatTemplate }]] satisfies Keys)),
  ];
}
