import { printable } from "./printable.ts";

/** Exit codes of the executable; 75 is EX_TEMPFAIL of sysexits.h. */
export const exitCodes = { ok: 0, failed: 1, usage: 2, notInitialised: 3, authentication: 4, tryAgain: 75 } as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

export type BlfErrorParameters = {
  /** Stable, upper-case, prefixed with the room it comes from: `WALLET_PASSWORD_WRONG`. */
  code: string;
  /** One line, says what happened. Never holds a secret, a prompt or an output. */
  message: string;
  /** One line, says what to do about it. */
  hint: string;
  /** Whether the same call may succeed later without anybody changing anything. */
  retryable?: boolean;
  exitCode?: ExitCode;
  cause?: unknown;
};

/**
 * Every error that may reach a person. Anything else that does is a bug. What it quotes may come from anywhere: whatever could move a
 * terminal's cursor becomes visible.
 */
export class BlfError extends Error {
  override readonly name = "BlfError";
  readonly code: string;
  readonly hint: string;
  readonly retryable: boolean;
  readonly exitCode: ExitCode;

  constructor(parameters: BlfErrorParameters) {
    super(printable(parameters.message), { cause: parameters.cause });
    this.code = parameters.code;
    this.hint = printable(parameters.hint);
    this.retryable = parameters.retryable ?? false;
    this.exitCode = parameters.exitCode ?? (this.retryable ? exitCodes.tryAgain : exitCodes.failed);
  }
}

/** `ENOSPC`, `ERR_INVALID_URL` and `ConnectionRefused`. Whoever made the error may have put a text there, which may be any text. */
const codeLike = /^(?:[A-Z][A-Z0-9_]{1,47}|(?:[A-Z][a-z]{1,20}){1,6})$/;

/**
 * The code of an error that may come from anywhere: ours, the system's (`ENOSPC`) or a library's. It gets into logs, so what does not look
 * like a code is `INTERNAL`.
 */
export function errorCode(error: unknown): string {
  if (error instanceof BlfError) return error.code;
  if (error instanceof Error && error.name === "AbortError") return "ABORTED";
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" && codeLike.test(code) ? code : "INTERNAL";
}

/** Whether trying again may help. Unknown errors are not retried. */
export function isRetryable(error: unknown): boolean {
  return error instanceof BlfError && error.retryable;
}

/** What a log says of a failure. The text of an error that is not ours stays out of it: it may quote a prompt. */
export function failureFields(error: unknown): { code: string; error: string; hint?: string } {
  if (!(error instanceof BlfError)) return { code: errorCode(error), error: "unexpected error" };
  return { code: error.code, error: error.message, hint: error.hint };
}
