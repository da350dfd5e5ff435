import { BlfError, type ExitCode } from "../../lib/errors.ts";

/** A BlfError without its cause, which may hold what must not travel. */
export type PlainError = { code: string; message: string; hint: string; retryable: boolean; exitCode: ExitCode };

/** Makes an error fit to be sent. One that is not ours becomes what `unknown` makes of it: its own text may quote the prompt. */
export function toPlainError(error: unknown, unknown: (error: unknown) => BlfError): PlainError {
  const known = error instanceof BlfError ? error : unknown(error);
  const { code, message, hint, retryable, exitCode } = known;
  return { code, message, hint, retryable, exitCode };
}

/** The error that a message stands for. */
export function fromPlainError(error: PlainError): BlfError {
  return new BlfError(error);
}
