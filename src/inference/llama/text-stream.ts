import type { Token } from "node-llama-cpp";

/** Turns tokens into pieces of text as they come. A character may be spread over several tokens: it is held back until it is whole. */
export type TextStream = {
  push(token: Token): void;
  /** Gives out what was held back, so that the pieces together are `text`. */
  end(text: string): void;
};

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
  let given = "";
  const give = (text: string) => {
    if (text === "") return;
    given += text;
    onText?.(text);
  };
  return {
    push: (token) => {
      if (!onText) return;
      held.push(token);
      const text = detokenize(held, before);
      if (text.endsWith(replacement) && held.length < longestCharacter) return;
      give(text.toWellFormed());
      before = [...before, ...held].slice(-lookBack);
      held = [];
    },
    end: (text) => {
      if (onText && text.startsWith(given)) give(text.slice(given.length));
    },
  };
}
