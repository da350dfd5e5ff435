import { expect } from "bun:test";
import { BlfError } from "../../src/lib/errors.ts";

/** The BlfError that an action must end with; checks its code and that it has one line of message and one of advice. */
export async function expectCode(action: () => unknown, code: string): Promise<BlfError> {
  let caught: unknown;
  try {
    await action();
  } catch (error) {
    caught = error;
  }
  expect(caught).toBeInstanceOf(BlfError);
  const error = caught as BlfError;
  expect(error.code).toBe(code);
  expect(error.message).toMatch(/^[^\n]+$/);
  expect(error.hint).toMatch(/^[^\n]+$/);
  return error;
}
