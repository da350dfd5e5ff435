import type { LlamaContext } from "node-llama-cpp";
import { freshSequence } from "../llama/sequence.ts";
import { type Decoding, decode, partingOf } from "./decode.ts";
import type { Lab, LabSetting } from "./lab.ts";
import { type Comparison, type Divergence, type OnProgress, type Row, runRow, skippedRow } from "./row.ts";
import { fewOf, type TokenPrompt } from "./token-prompts.ts";

export type LabRowsOptions = {
  lab: Lab;
  /** What the reference and all rows compute with. */
  setting: LabSetting;
  /** What the node computes with; where it is another setting, a row compares the two. */
  node: LabSetting;
  prompts: TokenPrompt[];
  /** Decodes of the row that repeats, over a few prompts in turn. */
  runs: number;
  /** Most tokens of an answer. */
  maxTokens: number;
  /** Most threads that are tried. */
  cores: number;
  /** Also decodes several sequences of one context in joint batches, which the node leaves to its engine. */
  joint: boolean;
  signal: AbortSignal;
  onProgress?: OnProgress | undefined;
};

/**
 * Answers with other numbers of threads are short: small models are many times slower with threads, and where threads matter the numbers
 * tell at once.
 */
const tokensPerThreads = 8;

/**
 * Decodes each prompt once in a fresh context, alone: the reference. Every row then decodes in another way and compares tokens and
 * the numbers behind them.
 * @throws BlfError `MODEL_TOO_LARGE`; the signal's reason when aborted
 */
export async function runLabRows(options: LabRowsOptions): Promise<{ rows: Row[]; references: Map<string, Decoding> }> {
  const { lab, setting, node, prompts, runs, cores, joint, onProgress } = options;
  const bench = createBench(options);
  const few = fewOf(prompts);
  const rows: Row[] = [];
  const add = async (name: string, steps: (() => Promise<Comparison[]>)[], isNodes = true) =>
    void rows.push(await runRow({ name, level: "tokens", isNodes, steps, onProgress }));
  const withContext = async (use: (context: LlamaContext) => Promise<void>, own = setting, sequences = 1) => {
    const context = await lab.createContext(own, sequences);
    try {
      await use(context);
    } finally {
      await context.dispose();
    }
  };

  await withContext(async (context) => {
    for (const prompt of prompts) await bench.refer(context, prompt);
    const inTurn = Array.from({ length: runs }, (_, run) => few[run % few.length]!);
    await add(
      `repeated ${runs} times`,
      inTurn.map((prompt) => () => bench.compare(context, prompt)),
    );
    const unrelated = (prompt: TokenPrompt) => prompts[(prompts.indexOf(prompt) + 1) % prompts.length]!;
    await add(
      "after another prompt",
      few.map((prompt) => async () => {
        await bench.decodeFresh(context, unrelated(prompt));
        return bench.compare(context, prompt);
      }),
    );
    // The node begins every answer with an empty cache.
    await add(
      "KV cache reused, whole batches",
      few.map((prompt) => () => bench.compareReused(context, prompt, true)),
      false,
    );
    await add(
      "KV cache reused, any token",
      few.map((prompt) => () => bench.compareReused(context, prompt, false)),
      false,
    );
  });
  await withContext((context) =>
    add(
      "fresh context, every length",
      prompts.map((prompt) => () => bench.compare(context, prompt)),
    ),
  );
  for (let threads = 1; threads <= cores; threads++) {
    const name = `${threads} ${threads === 1 ? "thread" : "threads"}`;
    if (threads === setting.threads) rows.push(skippedRow(name, "tokens", "the reference has as many"));
    else
      await withContext(
        (context) =>
          add(
            name,
            few.slice(-2).map((prompt) => () => bench.compare(context, prompt, setting, tokensPerThreads)),
          ),
        { ...setting, threads },
      );
  }
  if (joint) {
    // Sequences that share batches cut each other's prompts anywhere, down to single tokens. The node's engine never does.
    await withContext((context) =>
      add(
        "prompt cut into single tokens",
        prompts.map((prompt) => () => bench.compare(context, prompt, { ...setting, batchSize: 1 })),
      ),
    );
    for (const sequences of [1, 2, 4, 8])
      await withContext(
        (context) =>
          add(
            `${sequences} in joint batches`,
            prompts.map((_, first) => () => bench.compareJoint(context, first, sequences)),
          ),
        setting,
        sequences,
      );
  }
  if (!isEqual(setting, node))
    await withContext(
      (context) =>
        add(
          "the node's own setting",
          prompts.map((prompt) => () => bench.compare(context, prompt, node)),
        ),
      node,
    );
  return { rows, references: bench.references };
}

function isEqual(a: LabSetting, b: LabSetting): boolean {
  return a.batchSize === b.batchSize && a.flashAttention === b.flashAttention;
}

function createBench({ lab, setting, prompts, maxTokens, signal }: LabRowsOptions) {
  const { model } = lab;
  const references = new Map<string, Decoding>();

  const decodeFresh = async (context: LlamaContext, { tokens }: TokenPrompt, own = setting, most = maxTokens) => {
    const sequence = await freshSequence(context, signal);
    const { batchSize } = own;
    try {
      return await decode({ model, sequence, prompt: tokens, maxTokens: most, batchSize, signal });
    } finally {
      await sequence.dispose();
    }
  };

  const comparison = ({ name }: TokenPrompt, found: Decoding, most = maxTokens): Comparison => ({
    outputTokens: found.tokens.length,
    divergence: divergenceOf(lab, name, firstOf(references.get(name)!, most), found),
  });

  const compare = async (context: LlamaContext, prompt: TokenPrompt, own = setting, most = maxTokens) => [
    comparison(prompt, await decodeFresh(context, prompt, own, most), most),
  ];

  return {
    references,
    decodeFresh,
    compare,
    refer: async (context: LlamaContext, prompt: TokenPrompt) => {
      references.set(prompt.name, await decodeFresh(context, prompt));
    },
    /** Answers the prompt twice in one sequence, the second time with what the first left of it. */
    compareReused: async (context: LlamaContext, prompt: TokenPrompt, wholeBatches: boolean) => {
      const sequence = await freshSequence(context, signal);
      const { batchSize } = setting;
      const parameters = { model, sequence, prompt: prompt.tokens, maxTokens, batchSize, signal };
      try {
        await decode(parameters);
        const last = prompt.tokens.length - 1;
        const kept = wholeBatches ? last - (last % batchSize) : Math.floor(last / 2);
        if (kept === 0) await sequence.clearHistory();
        else await sequence.eraseContextTokenRanges([{ start: kept, end: sequence.nextTokenIndex }]);
        return [comparison(prompt, await decode(parameters))];
      } finally {
        await sequence.dispose();
      }
    },
    /** Different prompts side by side, so that their tokens meet in the same batches. */
    compareJoint: async (context: LlamaContext, first: number, sequences: number) => {
      const side = Array.from({ length: sequences }, (_, index) => prompts[(first + index * 3) % prompts.length]!);
      return (await Promise.all(side.map((prompt) => compare(context, prompt)))).flat();
    },
  };
}

/** What a decoding would have been with `most` tokens at most. */
function firstOf(decoding: Decoding, most: number): Decoding {
  return decoding.tokens.length < most
    ? decoding
    : { ...decoding, tokens: decoding.tokens.slice(0, most), ended: false };
}

/** Tokens of a continuation that are shown. */
const shown = 8;

export function divergenceOf(lab: Lab, prompt: string, reference: Decoding, found: Decoding): Divergence | undefined {
  const parting = partingOf(reference, found);
  if (!parting) return undefined;
  const { kind, position } = parting;
  const continuation = ({ tokens }: Decoding) => {
    const rest = tokens.slice(position, position + shown);
    return { tokens: [...rest] as number[], text: lab.model.detokenize(rest, true) };
  };
  return {
    prompt,
    kind,
    token: position,
    character: null,
    reference: continuation(reference),
    found: continuation(found),
  };
}
