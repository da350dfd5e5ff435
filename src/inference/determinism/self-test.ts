import { createHash } from "node:crypto";
import { errorCode } from "../../lib/errors.ts";
import type { GenerateOptions, GenerateRequest, Generation } from "../backend.ts";
import { type TestPrompt, unrelatedPrompt } from "./prompts.ts";

/** What the self-test needs of an engine, or of a backend that is something else. */
export type Testable = {
  generate(request: GenerateRequest, options: GenerateOptions): Promise<Generation>;
  close(): Promise<void>;
};

export type SelfTestOptions = {
  /** Starts an engine that has done nothing yet. Called twice. */
  open(): Promise<Testable>;
  modelId: string;
  /** Those that do not fit into the model's context are left out and named; `required` ones are an error then. */
  prompts: (TestPrompt & { required?: boolean })[];
  /** How often the first engine answers each prompt in a row; 2 at least. */
  runs: number;
  signal: AbortSignal;
  /** Called before each answer with its number, from 1, and how many there are in all. */
  onRun?: (run: { number: number; of: number; prompt: string; how: string }) => void;
};

export type TestedPrompt = {
  name: string;
  promptTokens: number;
  outputTokens: number;
  /** SHA-256 of the text that all answers share, hex. */
  sha256: string;
  /** Of the fastest answer; null when it was too fast to measure. */
  tokensPerSecond: number | null;
};

/** Two answers that should have been one. */
export type Divergence = {
  prompt: string;
  /** `run 3`, `after another prompt`, `in a fresh engine` */
  how: string;
  /** Where the answers part: characters, from 0. */
  position: number;
  /** Pieces of text before that, as they came from the model: about its tokens. Null where it gives its text all at once. */
  token: number | null;
};

export type SelfTestResult = {
  determinismClass: string;
  /** Answers that were compared with the first of their prompt. */
  compared: number;
  prompts: TestedPrompt[];
  /** Names of prompts that do not fit into the context. */
  skipped: string[];
  divergence: Divergence | null;
};

type Answer = Generation & { pieces: string[] };

/**
 * Asks a model the same again and again and compares its answers: repeated at once, after an unrelated prompt, and from an engine
 * that was started anew. Stops at the first answer that differs.
 * @throws BlfError what the backend throws; the signal's reason when aborted
 */
export async function testDeterminism(options: SelfTestOptions): Promise<SelfTestResult> {
  const { modelId, prompts, runs, signal } = options;
  const result: SelfTestResult = { determinismClass: "", compared: 0, prompts: [], skipped: [], divergence: null };
  const references = new Map<string, Answer>();
  let of = prompts.length * (runs + 3);
  let number = 0;

  const ask = async (engine: Testable, prompt: TestPrompt, how: string): Promise<Answer> => {
    number++;
    options.onRun?.({ number, of, prompt: prompt.name, how });
    const pieces: string[] = [];
    const request = { modelId, prompt: prompt.text };
    const answer = await engine.generate(request, { signal, onToken: (text) => void pieces.push(text) });
    return { ...answer, pieces };
  };

  /** Whether the answer equals the first one. */
  const compare = async (engine: Testable, prompt: TestPrompt, how: string): Promise<boolean> => {
    const reference = references.get(prompt.name)!;
    const answer = await ask(engine, prompt, how);
    result.compared++;
    const tested = result.prompts.find(({ name }) => name === prompt.name)!;
    tested.tokensPerSecond = faster(tested.tokensPerSecond, answer);
    const difference = differenceOf(reference, answer);
    if (difference) result.divergence = { prompt: prompt.name, how, ...difference };
    return difference === undefined;
  };

  const first = await options.open();
  try {
    for (const prompt of prompts) {
      const reference = await ask(first, prompt, "run 1").catch((error: unknown) => {
        if (prompt.required || errorCode(error) !== "MODEL_PROMPT_TOO_LONG") throw error;
      });
      if (!reference) {
        result.skipped.push(prompt.name);
        of -= runs + 2;
        continue;
      }
      references.set(prompt.name, reference);
      const { text, promptTokens, outputTokens } = reference;
      const sha256 = createHash("sha256").update(text).digest("hex");
      const tokensPerSecond = faster(null, reference);
      result.prompts.push({ name: prompt.name, promptTokens, outputTokens, sha256, tokensPerSecond });
      result.determinismClass ||= reference.determinismClass;
      for (let run = 2; run <= runs; run++) if (!(await compare(first, prompt, `run ${run}`))) return result;
      await ask(first, { name: "unrelated", text: unrelatedPrompt }, "in between");
      if (!(await compare(first, prompt, "after another prompt"))) return result;
    }
  } finally {
    await first.close();
  }
  const second = await options.open();
  try {
    // In another order than before, so that what an engine keeps of one answer meets another prompt.
    for (const prompt of prompts.filter(({ name }) => references.has(name)).reverse())
      if (!(await compare(second, prompt, "in a fresh engine"))) return result;
  } finally {
    await second.close();
  }
  return result;
}

/** Where two answers differ, in their text or in what was said of it. */
function differenceOf(a: Answer, b: Answer): { position: number; token: number | null } | undefined {
  const isEqual =
    a.text === b.text &&
    a.outputTokens === b.outputTokens &&
    a.finishReason === b.finishReason &&
    a.determinismClass === b.determinismClass;
  if (isEqual) return undefined;
  const shorter = Math.min(a.text.length, b.text.length);
  let position = 0;
  while (position < shorter && a.text[position] === b.text[position]) position++;
  return { position, token: pieceAt(a.pieces, position) };
}

function pieceAt(pieces: string[], position: number): number | null {
  if (pieces.length < 2) return null;
  let end = 0;
  const index = pieces.findIndex((piece) => {
    end += piece.length;
    return end > position;
  });
  return index === -1 ? pieces.length : index;
}

function faster(best: number | null, { outputTokens, ms }: Generation): number | null {
  if (ms <= 0 || outputTokens === 0) return best;
  const speed = Math.round((outputTokens / ms) * 10_000) / 10;
  return best === null ? speed : Math.max(best, speed);
}
