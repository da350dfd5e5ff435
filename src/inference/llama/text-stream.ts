import type { Token } from "node-llama-cpp";

/**
 * Turns tokens into pieces of text as they come. A character may be spread over several tokens: it is held back until it is whole, and
 * what is still held back in the end is not given out.
 */
export type TextStream = { push(token: Token): void };

/** No character takes more bytes, and so more tokens, than this. */
const longestCharacter = 4;
const replacement = "\ufffd";
const lookBack = 8;

export function createTextStream(
  detokenize: (tokens: Token[], before: Token[]) => string,
  onText: ((text: string) => void) | undefined,
): TextStream {
  let before: Token[] = [];
  let held: Token[] = [];
  return {
    push: (token) => {
      if (!onText) return;
      held.push(token);
      const text = detokenize(held, before);
      if (text.endsWith(replacement) && held.length < longestCharacter) return;
      if (text !== "") onText(text.toWellFormed());
      before = [...before, ...held].slice(-lookBack);
      held = [];
    },
  };
}
