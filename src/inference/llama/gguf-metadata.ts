import { BlfError } from "../../lib/errors.ts";
import { type GgufMetadataValue, Malformed } from "./gguf-reader.ts";

export type GgufMetadata = Map<string, GgufMetadataValue>;

/** Architectures that read text but do not write any. */
const cannotWrite =
  /^(bert|modern-bert|nomic-bert|nomic-bert-moe|neo-bert|jina-bert-v[23]|gemma-embedding|t5encoder|clip|wavtokenizer-dec)$/;

/** Architectures without attention heads or without a feed-forward part. */
const recurrent = /^(mamba2?|a?rwkv\d.*)$/;

/** llama.cpp aborts the process beyond this. */
const mostLayers = 512;

/** No model is larger than this in any of its measures; beyond it, sizes overflow. */
const largestMeasure = 2 ** 24;

/**
 * Checks the keys without which llama.cpp aborts the process, or divides by zero.
 * @throws BlfError `MODEL_KEY_MISSING`, `MODEL_ARCHITECTURE_UNSUPPORTED`; Malformed
 */
export function checkMetadata(metadata: GgufMetadata): { architecture: string; contextLength: number } {
  const architecture = metadata.get("general.architecture");
  if (architecture === undefined) throw keyMissing("general.architecture");
  if (typeof architecture !== "string" || !/^[a-z0-9._-]{1,64}$/i.test(architecture))
    throw new Malformed("its architecture has no proper name");
  if (cannotWrite.test(architecture)) throw unsupported(architecture);
  const measure = (name: string, lowest = 1) => measureOf(metadata, `${architecture}.${name}`, lowest);

  if (measure("block_count") > mostLayers) throw new Malformed("it has impossibly many layers");
  const width = measure("embedding_length");
  const contextLength = measure("context_length");
  if (!recurrent.test(architecture)) {
    measure("feed_forward_length", 0);
    const heads = measure("attention.head_count", 0);
    const perHead = metadata.has(`${architecture}.attention.key_length`);
    if (!perHead && heads > 0 && width % heads !== 0) throw new Malformed("its width is no multiple of its heads");
    if (metadata.has(`${architecture}.attention.head_count_kv`)) {
      const shared = measure("attention.head_count_kv", 0);
      if (shared > 0 && heads % shared !== 0) throw new Malformed("its heads are no multiple of its key-value heads");
    }
  }
  checkTokenizer(metadata);
  return { architecture, contextLength };
}

function checkTokenizer(metadata: GgufMetadata): void {
  const model = metadata.get("tokenizer.ggml.model");
  if (model === undefined) throw keyMissing("tokenizer.ggml.model");
  if (typeof model !== "string") throw new Malformed("its tokenizer has no proper name");
  if (model === "no_vocab") throw keyMissing("tokenizer.ggml.tokens");
  if (model === "rwkv" && metadata.get("tokenizer.ggml.tokens") === undefined)
    throw keyMissing("tokenizer.ggml.tokens");
  const list = metadata.get("tokenizer.ggml.tokens");
  if (typeof list === "object" && list.hasDuplicates) throw new Malformed("a token appears twice in its vocabulary");
  const tokens = arrayLength(metadata, "tokenizer.ggml.tokens", 8);
  if (tokens === undefined) throw keyMissing("tokenizer.ggml.tokens");
  if (tokens === 0) throw new Malformed("its vocabulary is empty");
  if (model === "gpt2" && arrayLength(metadata, "tokenizer.ggml.merges", 8) === undefined)
    throw keyMissing("tokenizer.ggml.merges");
  if (model === "llama" && !metadata.has("tokenizer.ggml.scores")) throw keyMissing("tokenizer.ggml.scores");
  const lists = [
    ["tokenizer.ggml.scores", 6],
    ["tokenizer.ggml.token_type", 5],
  ] as const;
  for (const [key, itemType] of lists) {
    const length = arrayLength(metadata, key, itemType);
    if (length !== undefined && length < tokens) throw new Malformed(`${key} is shorter than the vocabulary`);
  }
  for (const name of ["bos", "eos", "unknown", "eot", "padding"]) {
    const id = metadata.get(`tokenizer.ggml.${name}_token_id`);
    if (id !== undefined && typeof id !== "number") throw new Malformed(`its ${name} token is no number`);
    // llama.cpp takes 2^32-1 for "there is none", and warns about other ids that are out of range.
    if (id !== undefined && id >= tokens && id !== 2 ** 32 - 1) throw new Malformed(`its ${name} token does not exist`);
  }
}

/** A whole number, or the first of an array with one for each layer. */
function measureOf(metadata: GgufMetadata, key: string, lowest: number): number {
  const found = metadata.get(key);
  if (found === undefined) throw keyMissing(key);
  const value = typeof found === "object" ? found.first : found;
  const number = typeof value === "bigint" ? Number(value) : value;
  if (typeof number !== "number" || !Number.isInteger(number) || number < lowest || number > largestMeasure)
    throw new Malformed(`${key} has an impossible value`);
  return number;
}

function arrayLength(metadata: GgufMetadata, key: string, itemType: number): number | undefined {
  const value = metadata.get(key);
  if (value === undefined) return undefined;
  if (typeof value !== "object" || value.itemType !== itemType) throw new Malformed(`${key} is of the wrong type`);
  return value.length;
}

function keyMissing(key: string): BlfError {
  return new BlfError({
    code: "MODEL_KEY_MISSING",
    message: `The model file lacks the key ${key}`,
    hint: "Convert the model again with a current llama.cpp, or download it from another source.",
  });
}

function unsupported(architecture: string): BlfError {
  return new BlfError({
    code: "MODEL_ARCHITECTURE_UNSUPPORTED",
    message: `Models of the architecture ${architecture} do not write text`,
    hint: "Choose a text generation model.",
  });
}
