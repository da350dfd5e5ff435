import { createHash } from "node:crypto";
import { errorCode } from "../../lib/errors.ts";
import type { GenerateOptions, GenerateRequest, Generation } from "../backend.ts";
import { type TestPrompt, unrelatedPrompt } from "./prompts.ts";
import { type Comparison, type Divergence, type OnProgress, type Row, runRow, speed } from "./row.ts";

/** What the rows need of an engine, or of a backend that is something else. */
export type Testable = {
  generate(request: GenerateRequest, options: GenerateOptions): Promise<Generation>;
  close(): Promise<void>;
};

export type TextRowsOptions = {
  /** Starts a backend that has done nothing yet, in a new process where it has one. Called twice. */
  open(): Promise<Testable>;
  modelId: string;
  /** Those that do not fit into the model's context are left out and named; `required` ones are an error then. */
  prompts: (TestPrompt & { required?: boolean })[];
  /** Answers of the row that repeats, the prompts in turn; 0 leaves the row out, where tokens are compared already. */
  runs: number;
  /** How often the rows with several answers at once are gone through. */
  rounds: number;
  signal: AbortSignal;
  onProgress?: OnProgress | undefined;
};

export type TestedPrompt = {
  name: string;
  promptTokens: number;
  outputTokens: number;
  /** SHA-256 of the reference's text, hex. */
  sha256: string;
  /** Of the reference; null when it was too fast to measure. */
  tokensPerSecond: number | null;
};

export type TextRowsResult = {
  rows: Row[];
  determinismClass: string;
  prompts: TestedPrompt[];
  /** Names of prompts that do not fit into the context. */
  skipped: string[];
  /** By name of the prompt: what the first backend answered first. */
  references: Map<string, Generation>;
};

type Answer = Generation & { pieces: string[] };

const atOnce = [1, 2, 4, 8];

/**
 * Asks a backend the same again and again and compares its answers byte for byte: repeated, after another prompt, several at once,
 * in a new process.
 * @throws BlfError what the backend throws; the signal's reason when aborted
 */
export async function runTextRows(options: TextRowsOptions): Promise<TextRowsResult> {
  const { modelId, runs, rounds, signal, onProgress } = options;
  const rows: Row[] = [];
  const references = new Map<string, Answer>();
  const add = async (name: string, steps: (() => Promise<Comparison[]>)[]) =>
    void rows.push(await runRow({ name, level: "text", steps, onProgress }));

  const ask = async (backend: Testable, text: string, onFirst: () => void = () => {}): Promise<Answer> => {
    const pieces: string[] = [];
    const onToken = (piece: string) => {
      pieces.push(piece);
      if (pieces.length === 1) onFirst();
    };
    try {
      return { ...(await backend.generate({ modelId, prompt: text }, { signal, onToken })), pieces };
    } finally {
      onFirst();
    }
  };
  const compare = async (backend: Testable, prompt: TestPrompt, onFirst?: () => void): Promise<Comparison> => {
    const answer = await ask(backend, prompt.text, onFirst);
    const divergence = divergenceOf(prompt.name, references.get(prompt.name)!, answer);
    return { outputTokens: answer.outputTokens, divergence };
  };

  const first = await options.open();
  const { prompts, skipped } = await askFirst(first, options, ask, references);
  const inTurn = (count: number, from = 0) =>
    Array.from({ length: count }, (_, i) => prompts[(from + i) % prompts.length]!);
  try {
    if (prompts.length > 0) {
      if (runs > 0)
        await add(
          `repeated ${runs} times`,
          inTurn(runs).map((prompt) => async () => [await compare(first, prompt)]),
        );
      await add(
        "after another prompt",
        prompts.map((prompt) => async () => {
          await ask(first, unrelatedPrompt);
          return [await compare(first, prompt)];
        }),
      );
      for (const count of atOnce)
        await add(
          `${count} at once`,
          Array.from(
            { length: rounds },
            (_, round) => () => settled(inTurn(count, round).map((prompt) => compare(first, prompt))),
          ),
        );
      await add(
        "4 at once, staggered",
        Array.from({ length: rounds }, (_, round) => () => staggered(inTurn(4, round))),
      );
    }
  } finally {
    await first.close();
  }

  /** Each starts when the one before it has said something. */
  async function staggered(wanted: TestPrompt[]): Promise<Comparison[]> {
    let before = Promise.resolve();
    const answers = wanted.map((prompt) => {
      const started = Promise.withResolvers<void>();
      const answer = before.then(() => compare(first, prompt, started.resolve));
      before = started.promise;
      return answer;
    });
    return settled(answers);
  }

  const second = await options.open();
  try {
    // In another order than before, so that what an engine keeps of one answer meets another prompt.
    const reversed = [...prompts].reverse();
    if (prompts.length > 0)
      await add(
        "cold start, new process",
        reversed.map((prompt) => async () => [await compare(second, prompt)]),
      );
  } finally {
    await second.close();
  }
  const determinismClass = references.values().next().value?.determinismClass ?? "";
  return { rows, determinismClass, prompts: prompts.map((prompt) => tested(prompt, references)), skipped, references };
}

type Ask = (backend: Testable, text: string) => Promise<Answer>;

/** The references: what a backend that has done nothing yet answers. */
async function askFirst(first: Testable, options: TextRowsOptions, ask: Ask, references: Map<string, Answer>) {
  const prompts: TestPrompt[] = [];
  const skipped: string[] = [];
  try {
    for (const [done, prompt] of options.prompts.entries()) {
      options.onProgress?.({ row: "reference", done, of: options.prompts.length });
      try {
        references.set(prompt.name, await ask(first, prompt.text));
        prompts.push(prompt);
      } catch (error) {
        if (prompt.required || errorCode(error) !== "MODEL_PROMPT_TOO_LONG") throw error;
        skipped.push(prompt.name);
      }
    }
  } catch (error) {
    await first.close();
    throw error;
  }
  return { prompts, skipped };
}

/** All of them, and only then the first failure: what goes on behind a failure would meet a closed backend. */
async function settled<T>(answers: Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(answers);
  return Promise.all(answers);
}

function tested({ name }: TestPrompt, references: Map<string, Answer>): TestedPrompt {
  const { text, promptTokens, outputTokens, ms } = references.get(name)!;
  const sha256 = createHash("sha256").update(text).digest("hex");
  return { name, promptTokens, outputTokens, sha256, tokensPerSecond: speed(outputTokens, ms) };
}

/** Characters of a continuation that are shown. */
const shown = 60;

/** Where two answers differ, in their text or in what was said of it. */
function divergenceOf(prompt: string, reference: Answer, found: Answer): Divergence | undefined {
  const isEqual =
    reference.text === found.text &&
    reference.outputTokens === found.outputTokens &&
    reference.finishReason === found.finishReason &&
    reference.determinismClass === found.determinismClass;
  if (isEqual) return undefined;
  const shorter = Math.min(reference.text.length, found.text.length);
  let character = 0;
  while (character < shorter && reference.text[character] === found.text[character]) character++;
  const continuation = ({ text }: Answer) => ({ tokens: [], text: text.slice(character, character + shown) });
  return {
    prompt,
    kind: "text",
    token: pieceAt(reference.pieces, character),
    character,
    reference: continuation(reference),
    found: continuation(found),
  };
}

/** The piece of text that holds a character; pieces come as tokens do. */
function pieceAt(pieces: string[], character: number): number | null {
  if (pieces.length < 2) return null;
  let end = 0;
  const index = pieces.findIndex((piece) => {
    end += piece.length;
    return end > character;
  });
  return index === -1 ? pieces.length : index;
}
