import type { LlamaModel, Token } from "node-llama-cpp";
import { batchSize } from "../../src/inference/llama/generate.ts";
import { openLlamaLibrary } from "../../src/inference/llama/library.ts";
import { flashAttention } from "../../src/inference/llama/load.ts";
import { freshSequence } from "../../src/inference/llama/sequence.ts";
import type { Logger } from "../../src/lib/log.ts";

export type BareSetting = {
  threads: number;
  /** Leaves batch size and flash attention to the library. */
  defaults?: boolean;
};

export type BareRun = { text: string; prefillMs: number; generateMs: number; tokens: number };

export type BareLlama = {
  /** A loop as its documentation shows it: a prompt, and the tokens that follow. */
  open(
    setting: BareSetting,
  ): Promise<{ run(prompt: string, tokens: number, withinMs?: number): Promise<BareRun>; close(): Promise<void> }>;
  close(): Promise<void>;
};

/** node-llama-cpp without the product around it. */
export async function openBareLlama(options: { path: string; maxThreads: number; log: Logger }): Promise<BareLlama> {
  const { llama } = await openLlamaLibrary({ threads: options.maxThreads, gpu: false, log: options.log });
  const model = await llama.loadModel({ modelPath: options.path, gpuLayers: 0 });
  return {
    open: async ({ threads, defaults = false }) => {
      const settings = defaults ? {} : { batchSize, flashAttention };
      const context = await model.createContext({ ...settings, contextSize: 1024, threads });
      return {
        run: async (prompt, tokens, withinMs = Number.POSITIVE_INFINITY) => {
          const sequence = await freshSequence(context, new AbortController().signal);
          const output: Token[] = [];
          const started = performance.now();
          let first = started;
          for await (const token of sequence.evaluate(tokensOf(model, prompt), { temperature: 0 })) {
            if (output.length === 0) first = performance.now();
            output.push(token);
            if (output.length >= tokens || (output.length > 1 && performance.now() - first > withinMs)) break;
          }
          const ended = performance.now();
          await sequence.dispose();
          const text = model.detokenize(output);
          return { text, prefillMs: first - started, generateMs: ended - first, tokens: output.length };
        },
        close: () => context.dispose(),
      };
    },
    close: () => llama.dispose(),
  };
}

function tokensOf(model: LlamaModel, prompt: string): Token[] {
  const tokens = model.tokenize(prompt, false);
  return model.tokens.bos === null ? tokens : [model.tokens.bos, ...tokens];
}
