import type { Arbitrary } from "fast-check";

/** Something that reads what strangers wrote. */
export type Target<T = unknown> = {
  input: Arbitrary<T>;
  /** May throw a BlfError and nothing else. */
  read(input: T): unknown;
  /** For what one case costs more than most. */
  share?: number;
};

export const target = <T>(made: Target<T>): Target => made as Target;
