/** One way to ask the same again, compared with the reference. */
export type Row = {
  name: string;
  /** `tokens`: tokens and the numbers behind them. `text`: what a backend gives, byte for byte. */
  level: "tokens" | "text";
  verdict: "identical" | "differs" | "skipped";
  /** Whether the node may come to answer this way. The others show how much room there is: they break no quorum. */
  isNodes: boolean;
  /** Decodes that were compared with the reference. */
  compared: number;
  /** Output tokens per second over all of the row; null when it was too fast to measure. */
  tokensPerSecond: number | null;
  /** Why the row was skipped. */
  reason: string | null;
  divergence: Divergence | null;
};

/** Two answers that should have been one; a row stops at the first that has other tokens. */
export type Divergence = {
  prompt: string;
  /** `numbers`: equal tokens, but their probabilities differ, so that another prompt may part the tokens. */
  kind: "tokens" | "numbers" | "text";
  /** Index of the first output token that differs, from 0; null where a backend gives its text all at once. */
  token: number | null;
  /** Characters of text that are equal before that; null below the text. */
  character: number | null;
  reference: Continuation;
  found: Continuation;
};

/** What comes from the first difference on, a few tokens of it. */
export type Continuation = {
  /** Token ids; empty where only text is known. */
  tokens: number[];
  text: string;
};

/** What a row says while it runs. */
export type OnProgress = (progress: { row: string; done: number; of: number }) => void;

/** A difference found in the middle of a row. */
export type Comparison = { outputTokens: number; divergence: Divergence | undefined };

export type RowParameters = {
  name: string;
  level: Row["level"];
  /** True by default. */
  isNodes?: boolean;
  /** Answers, several of which may be made side by side in one step. */
  steps: (() => Promise<Comparison[]>)[];
  onProgress?: OnProgress | undefined;
};

/** Goes through the steps of a row until an answer differs. @throws what a step throws */
export async function runRow({ name, level, isNodes = true, steps, onProgress }: RowParameters): Promise<Row> {
  const started = performance.now();
  let [compared, outputTokens] = [0, 0];
  let divergence: Divergence | null = null;
  for (const [done, step] of steps.entries()) {
    onProgress?.({ row: name, done, of: steps.length });
    for (const comparison of await step()) {
      compared++;
      outputTokens += comparison.outputTokens;
      divergence = worse(divergence, comparison.divergence ?? null);
    }
    if (divergence && divergence.kind !== "numbers") break;
  }
  const tokensPerSecond = speed(outputTokens, performance.now() - started);
  const verdict = divergence ? "differs" : "identical";
  return { name, level, verdict, isNodes, compared, tokensPerSecond, reason: null, divergence };
}

/** Other tokens say more than other numbers behind equal ones. */
function worse(a: Divergence | null, b: Divergence | null): Divergence | null {
  return a === null || (a.kind === "numbers" && b !== null && b.kind !== "numbers") ? b : a;
}

export function skippedRow(name: string, level: Row["level"], reason: string): Row {
  const nothing = { compared: 0, tokensPerSecond: null, divergence: null };
  return { name, level, verdict: "skipped", isNodes: true, reason, ...nothing };
}

/** Tokens per second with one decimal. */
export function speed(tokens: number, ms: number): number | null {
  return ms > 0 && tokens > 0 ? Math.round((tokens / ms) * 10_000) / 10 : null;
}
