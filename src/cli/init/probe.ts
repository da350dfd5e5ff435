import { createLlamaBackend, type LlamaModelConfig } from "../../inference/llama/backend.ts";
import { readGgufFile } from "../../inference/llama/gguf.ts";
import { systemClock } from "../../lib/clock.ts";
import { BlfError, errorCode } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";

/** What a short try of a model found. `repeats` is null when it could not be run; `error` then says why. */
export type ProbeResult = {
  model: string;
  /** Whether the same prompt gave the same bytes again, with another prompt in between. */
  repeats: boolean | null;
  /** Tokens that were generated in all. */
  tokens: number;
  tokensPerSecond: number | null;
  error: { code: string; message: string; hint: string } | null;
};

export type ProbeOptions = {
  model: string;
  config: LlamaModelConfig;
  threads: number;
  log: Logger;
  signal?: AbortSignal;
};

const probeTokens = 24;
const longestMs = 180_000;

/** Longer than one batch of the engine many times over: short prompts agree even where long ones do not. */
const longPrompt = Array.from(
  { length: 12 },
  (_, index) => `Line ${index + 1}: a node that answers the same question twice must give the same answer twice.`,
).join("\n");
const shortPrompt = "Name a colour.";

/**
 * Asks a local model the same thing twice and something else in between, and compares the answers byte for byte: a node
 * that disagrees with itself would be slashed. Never throws for what is wrong with the model.
 */
export async function probeModel({ model, config, threads, log, signal }: ProbeOptions): Promise<ProbeResult> {
  const failed = (error: unknown): ProbeResult => {
    const known = error instanceof BlfError;
    const words = known
      ? { code: error.code, message: error.message, hint: error.hint }
      : {
          code: errorCode(error),
          message: "The model cannot be tried",
          hint: "See what `blindference run` says of it.",
        };
    return { model, repeats: null, tokens: 0, tokensPerSecond: null, error: words };
  };
  const deadline = AbortSignal.timeout(longestMs);
  const either = signal ? AbortSignal.any([signal, deadline]) : deadline;
  try {
    // Without starting the engine for a file that is none.
    readGgufFile(config.path);
  } catch (error) {
    return failed(error);
  }
  const backend = createLlamaBackend({
    models: { [model]: { ...config, maxTokens: probeTokens } },
    log,
    clock: systemClock,
    ...(threads > 0 ? { threads } : {}),
  });
  try {
    const ask = (prompt: string) => backend.generate({ modelId: model, prompt }, { signal: either });
    const first = await ask(longPrompt);
    const between = await ask(shortPrompt);
    const second = await ask(longPrompt);
    const tokens = first.outputTokens + between.outputTokens + second.outputTokens;
    const ms = first.ms + between.ms + second.ms;
    const tokensPerSecond = ms > 0 ? Math.round((tokens / ms) * 10_000) / 10 : null;
    return { model, repeats: first.text === second.text, tokens, tokensPerSecond, error: null };
  } catch (error) {
    signal?.throwIfAborted();
    return failed(deadline.aborted ? tooSlow(model) : error);
  } finally {
    await backend.close();
  }
}

export function probeText({ model, repeats, tokensPerSecond, error }: ProbeResult): string {
  if (error) return `${model} cannot be tried: ${error.message}. ${error.hint}`;
  const speed = tokensPerSecond === null ? "" : `, ${tokensPerSecond} tokens per second`;
  return repeats
    ? `${model} gives the same answer twice${speed}`
    : `${model} gives different answers to the same question: do not serve it, verifiers would reject its answers`;
}

function tooSlow(model: string): BlfError {
  return new BlfError({
    code: "MODEL_TOO_SLOW",
    message: `The model ${model} did not answer three prompts within ${longestMs / 60_000} minutes`,
    hint: "Claims last 5 minutes: choose a smaller model or a faster machine.",
  });
}
