import { BlfError, errorCode, exitCodes } from "../../lib/errors.ts";
import { printable } from "../../lib/printable.ts";
import { writeError, writeOut } from "./streams.ts";

/** What a person sees of an error: what happened, what to do, and the code to search for. */
export function describeError(error: unknown): { code: string; message: string; hint: string; exitCode: number } {
  if (error instanceof BlfError) {
    const { code, message, hint, exitCode } = error;
    return { code, message: printable(message), hint: printable(hint), exitCode };
  }
  return {
    code: errorCode(error),
    message: "Something unexpected happened",
    hint: "This is a defect of blindference: run the command with BLF_LOG_LEVEL=debug and report what it prints.",
    exitCode: exitCodes.failed,
  };
}

/** Prints the error (as JSON on stdout with `--json`, as two lines on stderr otherwise) and gives the exit code. */
export function reportError(error: unknown, json: boolean): number {
  const { code, message, hint, exitCode } = describeError(error);
  if (!json || !wroteDocument({ ok: false, error: { code, message, hint } }))
    writeError(`error: ${message} [${code}]\n  hint: ${hint}\n`);
  if (!(error instanceof BlfError) && process.env["BLF_LOG_LEVEL"] === "debug")
    writeError(`${error instanceof Error ? (error.stack ?? error.message) : "unknown"}\n`);
  return exitCode;
}

/** False when standard output cannot be written, which may be the very error that is to be reported. */
function wroteDocument(document: unknown): boolean {
  try {
    writeOut(`${printable(JSON.stringify(document))}\n`);
    return true;
  } catch {
    return false;
  }
}
