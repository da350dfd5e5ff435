import type { LlamaContext, LlamaContextSequence, LlamaModel, Token } from "node-llama-cpp";
import { BlfError } from "../../lib/errors.ts";
import type { Generation } from "../backend.ts";
import { type Chat, chatTokens } from "./chat.ts";
import { freshSequence } from "./sequence.ts";
import { createStopWatch, firstStop } from "./stop.ts";
import { createTextStream } from "./text-stream.ts";

/** Fixed, because the size of a batch decides in which order some kernels add numbers. */
export const batchSize = 32;

export type TextRequest = {
  model: LlamaModel;
  context: LlamaContext;
  contextSize: number;
  maxTokens: number;
  prompt: string;
  /** What the chat template makes of a prompt; absent when the model reads it as it is. */
  chat?: Chat | undefined;
  /** Texts that end the answer, and are no part of it. */
  stop?: readonly string[] | undefined;
  signal: AbortSignal;
  onToken?: ((text: string) => void) | undefined;
};

/**
 * Continues a prompt greedily, in a sequence of its own that knows nothing of earlier ones. An abort takes effect within one token, or
 * within one batch of the prompt.
 * @throws BlfError `MODEL_PROMPT_EMPTY`, `MODEL_PROMPT_TOO_LONG`; the signal's reason when aborted.
 */
export async function generateText(request: TextRequest): Promise<Omit<Generation, "determinismClass">> {
  const { model, contextSize, signal, onToken } = request;
  const started = performance.now();
  const prompt = await promptTokens(request);
  if (prompt.length === 0) throw promptEmpty();
  if (prompt.length >= contextSize) throw promptTooLong(prompt.length, contextSize);
  const most = Math.min(request.maxTokens, contextSize - prompt.length);
  const answer = createAnswer(model, request.stop ?? [], onToken);
  const sequence = await freshSequence(request.context, signal);
  try {
    let outputTokens = 0;
    let finishReason: Generation["finishReason"] = "length";
    for await (const token of evaluate(sequence, prompt, signal)) {
      if (model.isEogToken(token)) {
        finishReason = "stop";
        break;
      }
      outputTokens++;
      if (answer.push(token)) break;
      if (outputTokens >= most) break;
    }
    const { text, isStopped } = answer.end();
    if (isStopped) finishReason = "stop";
    return { text, promptTokens: prompt.length, outputTokens, finishReason, ms: performance.now() - started };
  } finally {
    await sequence.dispose();
  }
}

/** The answer as its tokens come. What it is in the end does not depend on whether somebody listens. */
function createAnswer(model: LlamaModel, stop: readonly string[], onToken: ((text: string) => void) | undefined) {
  const output: Token[] = [];
  const watch = createStopWatch(stop);
  let given = "";
  const give = (text: string) => {
    given += text;
    if (text !== "") onToken?.(text);
  };
  const isWatched = stop.length > 0;
  const onText = isWatched ? (piece: string) => give(watch.push(piece)) : onToken && give;
  const stream = createTextStream((tokens, before) => model.detokenize(tokens, false, before), onText);
  const whole = () => {
    const text = model.detokenize(output).toWellFormed();
    const end = isWatched ? firstStop(text, stop) : undefined;
    return { text: end === undefined ? text : text.slice(0, end), isStopped: end !== undefined };
  };
  return {
    /** Whether the answer has come to its end. */
    push: (token: Token): boolean => {
      output.push(token);
      stream.push(token);
      return watch.stopped() !== undefined;
    },
    end: () => {
      const cut = watch.stopped();
      const { text, isStopped } = cut === undefined ? whole() : { text: cut, isStopped: true };
      if (text.startsWith(given)) give(text.slice(given.length));
      return { text, isStopped };
    },
  };
}

export type PromptRequest = Pick<TextRequest, "model" | "prompt" | "chat" | "contextSize">;

/**
 * The prompt after the model's own beginning of text, raw or within its template. Nothing in it can become a control token.
 * @throws BlfError `MODEL_PROMPT_TOO_LONG`, when it is so by far
 */
export async function promptTokens({ model, prompt, chat, contextSize }: PromptRequest): Promise<Token[]> {
  // Half of a surrogate pair has no UTF-8: it becomes the replacement character here, as in the texts that models write.
  const text = prompt.toWellFormed();
  if (isFarTooLong(model, text, contextSize)) throw promptTooLong(`more than ${contextSize}`, contextSize);
  const tokens = chat
    ? await chatTokens(model, chat.parts, { system: chat.system, user: text })
    : model.tokenize(text, false);
  const { bos, shouldPrependBosToken } = model.tokens;
  return shouldPrependBosToken && bos !== null && !(chat && tokens[0] === bos) ? [bos, ...tokens] : tokens;
}

/** Where a text is cut, the tokens at its end may be others than in the whole. */
const unsureTokens = 64;
const firstCharacters = 2048;

/**
 * Whether the beginning of a text already fills the context. Splitting into tokens takes time with the square of what the vocabulary
 * has no words for, minutes for a megabyte, so a text is looked at in beginnings that double.
 */
function isFarTooLong(model: LlamaModel, text: string, contextSize: number): boolean {
  for (let length = firstCharacters; length < text.length; length *= 2) {
    const tokens = model.tokenize(text.slice(0, length).toWellFormed(), false);
    if (tokens.length >= contextSize + unsureTokens) return true;
  }
  return false;
}

/** The tokens that follow; the prompt is taken in batch by batch, so that an abort need not wait for all of it. */
async function* evaluate(sequence: LlamaContextSequence, prompt: Token[], signal: AbortSignal): AsyncGenerator<Token> {
  signal.throwIfAborted();
  let position = 0;
  for (; prompt.length - position > batchSize; position += batchSize) {
    await sequence.evaluateWithoutGeneratingNewTokens(prompt.slice(position, position + batchSize));
    signal.throwIfAborted();
  }
  for await (const token of sequence.evaluate(prompt.slice(position), { temperature: 0, yieldEogToken: true })) {
    signal.throwIfAborted();
    yield token;
  }
}

function promptEmpty(): BlfError {
  return new BlfError({
    code: "MODEL_PROMPT_EMPTY",
    message: "The prompt is empty, and this model cannot start from nothing",
    hint: "Send a prompt with at least one character.",
  });
}

function promptTooLong(length: number | string, contextSize: number): BlfError {
  return new BlfError({
    code: "MODEL_PROMPT_TOO_LONG",
    message: `The prompt has ${length} tokens, but the context holds ${contextSize}`,
    hint: "Shorten the prompt, or set a larger context_size for the model.",
  });
}
