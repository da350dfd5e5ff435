import type { LlamaContext, LlamaModel, Token } from "node-llama-cpp";
import type { Chat } from "./chat.ts";
import { generateText, promptTokens } from "./generate.ts";
import { freshSequence } from "./sequence.ts";
import { type Doubt, forcedPass } from "./teacher-forcing.ts";

/** A prompt and what somebody says the model answered, with the model that shall say whether it did. */
export type TranscriptRequest = {
  model: LlamaModel;
  /** With the node's setting; a sequence of it is used. */
  context: LlamaContext;
  /** Tokens. */
  contextSize: number;
  maxTokens: number;
  prompt: string;
  output: string;
  chat?: Chat | undefined;
  stop?: readonly string[] | undefined;
  signal: AbortSignal;
};

export type TranscriptOptions = {
  /** Also decodes where the pass was enough, to compare the two. */
  alwaysDecode?: boolean;
};

/** Where the claimed text and the model's part. */
export type Departure = {
  /** Characters that are equal before. */
  character: number;
  /** About so many tokens are equal before. */
  token: number;
  claimed: string;
  model: string;
};

export type Verification = {
  agrees: boolean;
  /** What decided: one pass over the answer, or decoding it again. */
  method: "prefill" | "decoding";
  /** Why the pass could not decide; null when it did. */
  doubt: Doubt | "other text" | "stop texts" | null;
  promptTokens: number;
  /** Tokens of the claimed answer, as the model cuts it. */
  outputTokens: number;
  /** Of the pass, milliseconds; null when there was none. */
  prefillMs: number | null;
  /** Of decoding, milliseconds; null when there was none. */
  decodingMs: number | null;
  departure: Departure | null;
};

/**
 * Whether the model answers a prompt with exactly this text. One pass over prompt and answer says yes, several times faster than decoding
 * would; wherever it does not clearly say so (the text can be cut into tokens in several ways, two tokens are nearly as likely, the answer
 * is another) the answer is decoded as for a job, up to the first difference, and that decides.
 * @throws BlfError `MODEL_PROMPT_EMPTY`, `MODEL_PROMPT_TOO_LONG`; the signal's reason when aborted
 */
export async function verifyTranscript(
  request: TranscriptRequest,
  options: TranscriptOptions = {},
): Promise<Verification> {
  const { model, context, contextSize, output, signal } = request;
  const prompt = await promptTokens(request);
  const candidates = tokenisations(model, output);
  const maxTokens = Math.min(request.maxTokens, contextSize - prompt.length);
  const about = { promptTokens: prompt.length, outputTokens: candidates[0]?.length ?? 0 };
  let doubt: Verification["doubt"] = null;
  let prefillMs: number | null = null;
  if ((request.stop?.length ?? 0) > 0) doubt = "stop texts";
  else if (candidates.length === 0) doubt = "other text";
  else if (prompt.length > 0 && maxTokens > 0) {
    const started = performance.now();
    const sequence = await freshSequence(context, signal);
    try {
      doubt = (await forcedPass({ model, sequence, prompt, candidates, maxTokens, signal })) ?? null;
    } finally {
      await sequence.dispose();
    }
    prefillMs = performance.now() - started;
    if (doubt === null && !options.alwaysDecode)
      return { agrees: true, method: "prefill", doubt, ...about, prefillMs, decodingMs: null, departure: null };
  }
  const { departure, ms } = await decodeAgain(request);
  return { agrees: departure === null, method: "decoding", doubt, ...about, prefillMs, decodingMs: ms, departure };
}

/** The ways to cut a text into tokens that give the same text again; those of a text at a line's beginning differ by a space. */
function tokenisations(model: LlamaModel, text: string): Token[][] {
  if (text === "") return [[]];
  const ways = [model.tokenize(text, false), model.tokenize(text, false, "trimLeadingSpace")];
  const isSame = (a: Token[], b: Token[]) => a.join() === b.join();
  return ways
    .filter((tokens, index) => !ways.slice(0, index).some((other) => isSame(other, tokens)))
    .filter((tokens) => model.detokenize(tokens).toWellFormed() === text);
}

/** Ends the decoding of an answer that is known to differ. */
class Departed extends Error {}

/** Characters that are shown of a departure. */
const shown = 60;

/** Answers the prompt as for a job, and stops a little after the first difference. */
async function decodeAgain(request: TranscriptRequest): Promise<{ departure: Departure | null; ms: number }> {
  const { output } = request;
  const started = performance.now();
  const enough = new AbortController();
  let text = "";
  let character = 0;
  let [tokens, equalTokens] = [0, 0];
  const follow = (piece: string) => {
    text += piece;
    while (character < text.length && character < output.length && text[character] === output[character]) character++;
    if (character === text.length) equalTokens++;
    tokens++;
    // Pieces of broken UTF-8 may read otherwise than the whole text does.
    const isPlain = !text.includes("\ufffd") && !output.includes("\ufffd");
    if (isPlain && text.length - character > shown) enough.abort(new Departed());
  };
  try {
    const signal = AbortSignal.any([request.signal, enough.signal]);
    const answer = await generateText({ ...request, signal, onToken: follow });
    text = answer.text;
  } catch (error) {
    if (!(error instanceof Departed)) throw error;
  }
  const ms = performance.now() - started;
  if (text === output) return { departure: null, ms };
  character = 0;
  while (character < Math.min(text.length, output.length) && text[character] === output[character]) character++;
  const part = (whole: string) => whole.slice(character, character + shown);
  return {
    departure: { character, token: Math.min(equalTokens, tokens), claimed: part(output), model: part(text) },
    ms,
  };
}
