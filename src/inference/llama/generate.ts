import type { LlamaContext, LlamaContextSequence, LlamaModel, Token } from "node-llama-cpp";
import { BlfError } from "../../lib/errors.ts";
import type { Generation } from "../backend.ts";
import { createTextStream } from "./text-stream.ts";

/** Fixed, because the size of a batch decides in which order some kernels add numbers. */
export const batchSize = 32;

export type TextRequest = {
  model: LlamaModel;
  context: LlamaContext;
  contextSize: number;
  maxTokens: number;
  prompt: string;
  signal: AbortSignal;
  onToken?: ((text: string) => void) | undefined;
};

/**
 * Continues a prompt greedily, in a sequence of its own that knows nothing of earlier ones. An abort takes effect within one token, or
 * within one batch of the prompt.
 * @throws BlfError `MODEL_PROMPT_EMPTY`, `MODEL_PROMPT_TOO_LONG`; the signal's reason when aborted.
 */
export async function generateText(request: TextRequest): Promise<Omit<Generation, "determinismClass">> {
  const { model, contextSize, signal } = request;
  const started = performance.now();
  const prompt = promptTokens(model, request.prompt);
  if (prompt.length === 0) throw promptEmpty();
  if (prompt.length >= contextSize) throw promptTooLong(prompt.length, contextSize);
  const most = Math.min(request.maxTokens, contextSize - prompt.length);
  const sequence = await freshSequence(request.context, signal);
  try {
    const stream = createTextStream((tokens, before) => model.detokenize(tokens, false, before), request.onToken);
    const output: Token[] = [];
    let finishReason: Generation["finishReason"] = "length";
    for await (const token of evaluate(sequence, prompt, signal)) {
      if (model.isEogToken(token)) {
        finishReason = "stop";
        break;
      }
      output.push(token);
      stream.push(token);
      if (output.length >= most) break;
    }
    const text = model.detokenize(output).toWellFormed();
    stream.end(text);
    const ms = performance.now() - started;
    return { text, promptTokens: prompt.length, outputTokens: output.length, finishReason, ms };
  } finally {
    await sequence.dispose();
  }
}

/** The prompt as it is, after the model's own beginning of text. Nothing in it can become a control token. */
function promptTokens(model: LlamaModel, prompt: string): Token[] {
  const tokens = model.tokenize(prompt, false);
  const { bos, shouldPrependBosToken } = model.tokens;
  return shouldPrependBosToken && bos !== null ? [bos, ...tokens] : tokens;
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

/** A disposed sequence frees its place a little later than its promise says. */
async function freshSequence(context: LlamaContext, signal: AbortSignal): Promise<LlamaContextSequence> {
  while (context.sequencesLeft === 0) {
    signal.throwIfAborted();
    await Bun.sleep(1);
  }
  return context.getSequence();
}

function promptEmpty(): BlfError {
  return new BlfError({
    code: "MODEL_PROMPT_EMPTY",
    message: "The prompt is empty, and this model cannot start from nothing",
    hint: "Send a prompt with at least one character.",
  });
}

function promptTooLong(length: number, contextSize: number): BlfError {
  return new BlfError({
    code: "MODEL_PROMPT_TOO_LONG",
    message: `The prompt has ${length} tokens, but the context holds ${contextSize}`,
    hint: "Shorten the prompt, or set a larger contextSize for the model.",
  });
}
