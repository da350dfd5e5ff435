import { createHash } from "node:crypto";
import type { LlamaContext, LlamaContextSequence, LlamaModel, Token } from "node-llama-cpp";
import type { Dispatch } from "./dispatch.ts";
import { batchSize } from "./generate.ts";
import { freshSequence } from "./sequence.ts";

export type BatchProbe = {
  model: LlamaModel;
  context: LlamaContext;
  dispatch: Dispatch;
  /** Tokens of a sequence. */
  contextSize: number;
  signal: AbortSignal;
};

/** Tried when all together differ. Many kernels take four tokens at a time, and fewer another way. */
const someWidths = [3, 2];

/** Beyond this many, attention works on a further block of memory. */
const longPrompt = 300;
const shortPrompt = 20;

/**
 * Finds how many sequences may have a token each in one step, so that this device computes the same bits for it as for each alone,
 * and sets `dispatch.width` to that: 1 when it never does. The probabilities of the whole vocabulary are compared, for each number of
 * sequences that can meet in steps of that width.
 */
export async function probeWidth(probe: BatchProbe): Promise<number> {
  const { context, dispatch } = probe;
  const sequences = context.totalSequences;
  const runs = Array.from({ length: sequences }, (_, index) => ({ prompt: promptOf(probe, index), steps: index + 2 }));
  dispatch.width = 1;
  const alone: string[][] = [];
  for (const run of runs) alone.push(...(await stepTogether(probe, [run])));
  for (const width of [...new Set([sequences, ...someWidths])].filter((some) => some <= sequences)) {
    dispatch.width = width;
    dispatch.widest = 0;
    const together = await stepTogether(probe, runs.slice(0, width));
    const isEqual = JSON.stringify(together) === JSON.stringify(alone.slice(0, width));
    if (isEqual && dispatch.widest === width) return width;
  }
  dispatch.width = 1;
  return 1;
}

/** Any tokens do: it is arithmetic that is compared. */
function promptOf({ model, contextSize }: BatchProbe, index: number): Token[] {
  const room = contextSize - 2 * batchSize;
  const length = Math.max(2, Math.min(index === 0 ? longPrompt : shortPrompt + index, room));
  const text = "The list of numbers: 1, 2, 3, 5, 8, 13, 21. ".repeat(Math.ceil(length / 4));
  return model.tokenize(text, false).slice(index, index + length);
}

/** Steps all sequences at once, each as often as it shall, and hashes what each of its steps gave. */
async function stepTogether(probe: BatchProbe, wanted: { prompt: Token[]; steps: number }[]): Promise<string[][]> {
  const { context, signal } = probe;
  const runs: { sequence: LlamaContextSequence; next: Token; left: number; hashes: string[] }[] = [];
  try {
    for (const { prompt, steps } of wanted) {
      const sequence = await freshSequence(context, signal);
      runs.push({ sequence, next: prompt.at(-1)!, left: steps, hashes: [] });
      for (let at = 0; at < prompt.length - 1; at += batchSize) {
        signal.throwIfAborted();
        const piece = prompt.slice(at, Math.min(at + batchSize, prompt.length - 1));
        await sequence.evaluateWithoutGeneratingNewTokens(piece);
      }
    }
    for (let going = runs; going.length > 0; going = going.filter(({ left }) => left > 0)) {
      signal.throwIfAborted();
      await Promise.all(
        going.map(async (run) => {
          const [item] = await run.sequence.controlledEvaluate([[run.next, { generateNext }]]);
          const { best, hash } = digest(item!.next.probabilities!);
          run.next = best;
          run.left--;
          run.hashes.push(hash);
        }),
      );
    }
    return runs.map(({ hashes }) => hashes);
  } finally {
    await Promise.all(runs.map(({ sequence }) => sequence.dispose()));
  }
}

/** Only the greedy choice comes with the probabilities of all tokens: for one by chance, unlikely ones are cut off first. */
const generateNext = { probabilities: true, options: { temperature: 0 } } as const;

/** Without iterators, which take longer than all else: vocabularies have up to a quarter of a million tokens. */
function digest(probabilities: Map<Token, number>): { best: Token; hash: string } {
  const values = new Float64Array(probabilities.size);
  probabilities.forEach((probability, token) => {
    if (token >= values.length) throw new TypeError("llama.cpp told a part of the probabilities only");
    values[token] = probability;
  });
  let best = 0;
  for (let token = 1; token < values.length; token++) if (values[token]! > values[best]!) best = token;
  return { best: best as Token, hash: createHash("sha256").update(values).digest("base64") };
}
