import { createHash } from "node:crypto";
import type { ControlledEvaluateInputItem, LlamaContextSequence, LlamaModel, Token } from "node-llama-cpp";

/** What a model said, so exactly that two of them can be compared. */
export type Decoding = {
  /** Without the token that ends the text. */
  tokens: Token[];
  /** Whether the model ended the text by itself. */
  ended: boolean;
  /**
   * By position of a token: the probability of the token, to the last bit. Every logit has a part in it, so it differs where any
   * of them does, long before another token is chosen.
   */
  numbers: Map<number, number>;
  /** By position: SHA-256 of all probabilities, hex. Only where `hashLogits` asked for it. */
  logits: Map<number, string>;
  /** Milliseconds. */
  ms: number;
};

export type DecodeParameters = {
  model: LlamaModel;
  /** Either fresh, or one that already holds the beginning of `prompt`. */
  sequence: LlamaContextSequence;
  /** Tokens; not empty. */
  prompt: readonly Token[];
  /** Most tokens of the answer. */
  maxTokens: number;
  batchSize: number;
  signal: AbortSignal;
};

export type DecodeOptions = {
  /** Also hashes all probabilities at the measured positions. */
  hashLogits?: boolean;
  /** Called with each token; decoding stops when it gives false. */
  onToken?: (token: Token, position: number) => boolean;
};

/** Reading numbers takes time with large vocabularies, so it is done at some positions. */
export function isMeasured(position: number): boolean {
  return position === 0 || position % 8 === 7;
}

/**
 * Continues a prompt greedily, as the engine does it: the prompt in batches, then token by token.
 * @throws the signal's reason when aborted
 */
export async function decode(parameters: DecodeParameters, options: DecodeOptions = {}): Promise<Decoding> {
  const { model, sequence, prompt, maxTokens, batchSize, signal } = parameters;
  const started = performance.now();
  const result: Decoding = { tokens: [], ended: false, numbers: new Map(), logits: new Map(), ms: 0 };
  let position = sequence.nextTokenIndex;
  for (; prompt.length - position > batchSize; position += batchSize) {
    signal.throwIfAborted();
    await sequence.evaluateWithoutGeneratingNewTokens(prompt.slice(position, position + batchSize));
  }
  let input = prompt.slice(position);
  for (let index = 0; index < maxTokens; index++) {
    signal.throwIfAborted();
    const { token, confidence, probabilities } = await next(sequence, input, index, options.hashLogits ?? false);
    if (confidence !== undefined) result.numbers.set(index, confidence);
    if (probabilities) result.logits.set(index, hashOf(probabilities));
    result.ended = model.isEogToken(token);
    if (result.ended) break;
    result.tokens.push(token);
    if (options.onToken?.(token, index) === false) break;
    input = [token];
  }
  result.ms = performance.now() - started;
  return result;
}

async function next(sequence: LlamaContextSequence, input: Token[], index: number, hashLogits: boolean) {
  const measured = isMeasured(index);
  const last: ControlledEvaluateInputItem = [
    input.at(-1)!,
    {
      generateNext: {
        token: true,
        confidence: measured,
        probabilities: measured && hashLogits,
        options: { temperature: 0 },
      },
    },
  ];
  const results = await sequence.controlledEvaluate([...input.slice(0, -1), last]);
  const { token, confidence, probabilities } = results.at(-1)!.next;
  if (token === undefined || token === null) throw new TypeError("llama.cpp gave no token");
  return { token, confidence, probabilities };
}

/** In the order of the vocabulary, as 32-bit floats in little-endian order. */
function hashOf(probabilities: Map<Token, number>): string {
  const bytes = new DataView(new ArrayBuffer(probabilities.size * 4));
  const sorted = [...probabilities].sort(([a], [b]) => a - b);
  for (const [index, [, probability]] of sorted.entries()) bytes.setFloat32(index * 4, probability, true);
  return createHash("sha256").update(bytes).digest("hex");
}

/** Where two decodings part: at a token, or only in the numbers behind equal tokens. */
export type Parting = { kind: "tokens" | "numbers"; position: number };

/** @returns undefined when they are identical */
export function partingOf(a: Decoding, b: Decoding): Parting | undefined {
  const longer = Math.max(a.tokens.length, b.tokens.length);
  for (let position = 0; position < longer; position++)
    if (a.tokens[position] !== b.tokens[position]) return { kind: "tokens", position };
  if (a.ended !== b.ended) return { kind: "tokens", position: longer };
  for (const [position, number] of a.numbers) {
    const other = b.numbers.get(position);
    if (other !== undefined && !Object.is(number, other)) return { kind: "numbers", position };
  }
  return undefined;
}
