import {
  type ControlledEvaluateInputItem,
  type LlamaContextSequence,
  type LlamaModel,
  type Token,
  TokenBias,
} from "node-llama-cpp";
import { batchSize } from "./generate.ts";

/**
 * How far ahead of all others, in logits, a token must be to count as certain. The pass computes several tokens at once, where decoding
 * computes one, and the last bits of what they find may differ: always with weights of plain floats, now and then with quantised ones.
 */
const clearLead = 0.002;

export type ForcedPass = {
  model: LlamaModel;
  /** Fresh. */
  sequence: LlamaContextSequence;
  /** Tokens; not empty. */
  prompt: readonly Token[];
  /** Ways to cut the claimed text into tokens. */
  candidates: readonly Token[][];
  /** An answer of so many tokens was cut off, and need not end by itself. */
  maxTokens: number;
  signal: AbortSignal;
};

/** Why a pass alone cannot say yes. */
export type Doubt = "other tokens" | "near tie";

/**
 * Gives the model the prompt and the claimed answer in batches and looks at what it would have said at each place.
 * @returns undefined when it would clearly have said each of the tokens, and then ended
 * @throws the signal's reason when aborted
 */
export async function forcedPass(pass: ForcedPass): Promise<Doubt | undefined> {
  const { model, sequence, prompt, candidates, maxTokens, signal } = pass;
  for (let at = 0; at < prompt.length - 1; at += batchSize) {
    signal.throwIfAborted();
    await sequence.evaluateWithoutGeneratingNewTokens(prompt.slice(at, Math.min(at + batchSize, prompt.length - 1)));
  }
  const first = await most(sequence, prompt.at(-1)!);
  const output = candidates.find((tokens) => tokens[0] === first.token);
  if (!output)
    return candidates.some(({ length }) => length === 0) && model.isEogToken(first.token)
      ? near(first)
      : "other tokens";
  if (output.length > maxTokens) return "other tokens";
  const doubt = near(first);
  if (doubt) return doubt;
  // Each token is given to the model to see which one it puts after it; the last one only if the answer had room to go on.
  const ends = output.length < maxTokens;
  const given = output.slice(0, -1);
  for (let at = 0; at < given.length; at += batchSize) {
    signal.throwIfAborted();
    const piece = given.slice(at, at + batchSize);
    const items = piece.map((token, index) => item(model, token, output[at + index + 1]!));
    const results = await sequence.controlledEvaluate(items);
    for (const [index, result] of results.entries())
      if (result?.next.token !== output[at + index + 1]) return "near tie";
  }
  if (!ends) return undefined;
  const last = await most(sequence, output.at(-1)!);
  return model.isEogToken(last.token) ? near(last) : "other tokens";
}

/** Asks whether `claimed` is ahead even when its logit is lowered a little. */
function item(model: LlamaModel, token: Token, claimed: Token): ControlledEvaluateInputItem {
  const tokenBias = TokenBias.for(model).set(claimed, { logit: -clearLead });
  return [token, { generateNext: { token: true, options: { temperature: 0, tokenBias } } }];
}

type Most = { token: Token; lead: number };

/** The likeliest token after `token`, and its lead in logits over the next. */
async function most(sequence: LlamaContextSequence, token: Token): Promise<Most> {
  const generateNext = { token: true, probabilities: true, options: { temperature: 0 } };
  const results = await sequence.controlledEvaluate([[token, { generateNext }]]);
  const { token: found, probabilities } = results.at(-1)!.next;
  if (found === undefined || found === null || !probabilities) throw new TypeError("llama.cpp gave no token");
  let second = 0;
  for (const [other, probability] of probabilities) if (other !== found) second = Math.max(second, probability);
  return { token: found, lead: Math.log((probabilities.get(found) ?? 0) / second) };
}

function near({ lead }: Most): Doubt | undefined {
  return lead > clearLead ? undefined : "near tie";
}
