import type { LlamaModel, Token } from "node-llama-cpp";
import { beginning } from "./lab.ts";
import { defaultPrompts } from "./prompts.ts";

export type TokenPrompt = { name: string; tokens: Token[] };

/**
 * Lengths in tokens at which batches of 32 and of 64 end, and long ones: short prompts hide divergence, since some kernels split
 * their work only from 256 tokens on.
 */
const lengths = [31, 32, 33, 63, 64, 65, 186, 511];

/** Prompts of exact lengths, those that fit with `room` tokens of an answer. Each has a text of its own. */
export function lengthPrompts(model: LlamaModel, contextSize: number, room: number): TokenPrompt[] {
  const start = beginning(model);
  const text = defaultPrompts.map((prompt) => prompt.text).join("\n");
  const pool = model.tokenize(text.repeat(2), false);
  while (pool.length < 2 * Math.max(...lengths)) pool.push(...pool);
  return lengths
    .filter((length) => length + room <= contextSize)
    .map((length, index) => {
      const offset = index * 13;
      const tokens = [...start, ...pool.slice(offset, offset + length - start.length)];
      return { name: `${length} tokens`, tokens };
    });
}

/** Lengths that do not fit, as the report names them. */
export function missingLengths(contextSize: number, room: number): string[] {
  return lengths.filter((length) => length + room > contextSize).map((length) => `${length} tokens`);
}

/** Three that stand for all where a row is run often: around a batch, longer than some, and the longest. */
export function fewOf(prompts: TokenPrompt[]): TokenPrompt[] {
  const few = prompts.filter(({ name }) => ["64 tokens", "186 tokens", "511 tokens"].includes(name));
  return few.length > 0 ? few : prompts.slice(-1);
}
