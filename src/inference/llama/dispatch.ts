import type { BatchingOptions } from "node-llama-cpp";
import type { GgufHeader } from "./gguf.ts";

type PrioritizationStrategy = Extract<
  NonNullable<BatchingOptions["itemPrioritizationStrategy"]>,
  (...parameters: never[]) => unknown
>;

/** How the sequences of a context share it. The library's own way mixes their tokens at will, which no weight type is safe from. */
export type Dispatch = {
  strategy: PrioritizationStrategy;
  /** How many sequences may have a token each in one step; 1 to begin with. */
  width: number;
  /** How many the widest step has had. */
  widest: number;
};

/**
 * Decides what goes into each step of llama.cpp. A piece of a prompt always goes alone, as it was cut, and so does every token while
 * `width` is 1: llama.cpp then computes exactly what it would for that sequence alone. Otherwise the next tokens of up to `width`
 * sequences go together. Those who wait take turns.
 */
export function createDispatch(): Dispatch {
  let wasPrompt = false;
  const dispatch: Dispatch = {
    width: 1,
    widest: 0,
    strategy: ({ items, size }) => {
      const first = items[0];
      if (!first) return [];
      const alone = (item: typeof first) => [{ item, processAmount: Math.min(size, item.tokens.length) }];
      if (dispatch.width === 1) return alone(first);
      const prompt = items.find(({ tokens }) => tokens.length > 1);
      const singles = items.filter(({ tokens }) => tokens.length === 1).slice(0, dispatch.width);
      wasPrompt = prompt !== undefined && !(wasPrompt && singles.length > 0);
      if (prompt && wasPrompt) return alone(prompt);
      dispatch.widest = Math.max(dispatch.widest, singles.length);
      return singles.map((item) => ({ item, processAmount: 1 }));
    },
  };
  return dispatch;
}

/** ggml's numbers of the types without blocks: 32 and 16 bits, bfloat16 and 64 bits. */
const plainTypes = new Set([0, 1, 28, 30]);

/**
 * Whether the CPU's kernels may give a token the same bits beside others as alone, as far as the header tells. Matrices of plain
 * floats are multiplied by another routine, which adds in another order, as soon as a step has several tokens.
 */
export function mayBatchOnCpu({ tensors }: GgufHeader): boolean {
  const names = new Set(tensors.map(({ name }) => name));
  const isLookup = (name: string) => name === "token_embd.weight" && names.has("output.weight");
  const matrices = tensors.filter(({ name, shape }) => shape.filter((size) => size > 1).length > 1 && !isLookup(name));
  return matrices.length > 0 && matrices.every(({ type }) => !plainTypes.has(type));
}
