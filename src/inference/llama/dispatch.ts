import type { BatchingOptions } from "node-llama-cpp";

type PrioritizationStrategy = Extract<
  NonNullable<BatchingOptions["itemPrioritizationStrategy"]>,
  (...parameters: never[]) => unknown
>;

/**
 * Decides what goes into each step of llama.cpp: one piece of a prompt as it was cut, or one token, of one sequence. The others wait for
 * their turn. So llama.cpp computes for each exactly what it would if that were alone. The library's own way puts tokens of several
 * sequences into one step, and then rounds differently every now and then, with whatever type of weights.
 */
export const oneSequencePerStep: PrioritizationStrategy = ({ items, size }) => {
  const [first] = items;
  return first ? [{ item: first, processAmount: Math.min(size, first.tokens.length) }] : [];
};
