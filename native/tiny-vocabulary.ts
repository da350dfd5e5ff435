/** Token types of a GGUF vocabulary. */
export const tokenType = { normal: 1, unknown: 2, control: 3, unused: 5, byte: 6 } as const;

/** A vocabulary in the form that a GGUF stores: three arrays of equal length. */
export type Vocabulary = { tokens: string[]; scores: number[]; types: number[] };

const words =
  "the of and to in is on at as it by or an be we so light stone river open quiet hand path night early stars near long small well " +
  "still under water field cold bright slow deep north green";

/**
 * A SentencePiece vocabulary that can spell every text: 256 byte tokens, printable ASCII, and some words so that noise reads well.
 * "▁" stands for a space, as SentencePiece writes it. Further control tokens come last, so that the others keep their numbers.
 */
export function tinyVocabulary(controlTokens: string[] = []): Vocabulary {
  const vocabulary: Vocabulary = { tokens: [], scores: [], types: [] };
  const add = (token: string, score: number, type: number) => {
    vocabulary.tokens.push(token);
    vocabulary.scores.push(score);
    vocabulary.types.push(type);
  };
  add("<unk>", 0, tokenType.unknown);
  add("<s>", 0, tokenType.control);
  add("</s>", 0, tokenType.control);
  for (let byte = 0; byte < 256; byte++) add(byteToken(byte), 0, tokenType.byte);
  const pieces = new Set(["▁"]);
  for (let code = 33; code < 127; code++) pieces.add(String.fromCharCode(code));
  // A word can only be tokenised as one if it can be reached by joining pieces from the left.
  for (const word of words.split(" "))
    for (let length = 1; length <= word.length; length++) pieces.add(`▁${word.slice(0, length)}`);
  let rank = 0;
  for (const piece of pieces) add(piece, -++rank, tokenType.normal);
  for (const token of controlTokens) add(token, 0, tokenType.control);
  while (vocabulary.tokens.length % 32 !== 0) add(`<unused_${vocabulary.tokens.length}>`, -1e6, tokenType.unused);
  return vocabulary;
}

/** Which tokens a model that writes words may choose. */
export function isWord(token: string): boolean {
  return token.startsWith("▁") && words.split(" ").includes(token.slice(1));
}

function byteToken(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
}
