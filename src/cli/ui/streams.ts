import { fstatSync, statSync, writeSync } from "node:fs";
import { errorCode, exitCodes } from "../../lib/errors.ts";
import { fileError } from "../../lib/files.ts";

// The runtime's own stream objects take longer to load than a command that only reads files takes in all, so the standard
// streams are written as the files that they are, and `process.stdout` is touched for terminals only.

/** Whether standard output (1) or standard error (2) is a terminal. */
export function isTerminal(descriptor: 1 | 2): boolean {
  try {
    const file = fstatSync(descriptor);
    if (!file.isCharacterDevice() || file.rdev === statSync("/dev/null").rdev) return false;
  } catch {
    return false;
  }
  return (descriptor === 1 ? process.stdout : process.stderr).isTTY === true;
}

/** Writes to standard output. A reader that has seen enough ends the program. @throws BlfError `FILE_*` */
export function writeOut(text: string): void {
  try {
    writeAll(1, text);
  } catch (error) {
    if (errorCode(error) === "EPIPE") process.exit(exitCodes.ok);
    throw fileError("write to", "standard output", error);
  }
}

/** Writes to standard error, if that can be written: what is said there changes no result. */
export function writeError(text: string): void {
  try {
    writeAll(2, text);
  } catch {}
}

const longestStallMs = 30_000;

function writeAll(descriptor: number, text: string): void {
  const bytes = new TextEncoder().encode(text);
  const giveUpAt = performance.now() + longestStallMs;
  for (let written = 0; written < bytes.length; ) {
    try {
      written += writeSync(descriptor, bytes, written);
    } catch (error) {
      // A pipe that somebody else made non-blocking, and whose reader is slow.
      if (errorCode(error) !== "EAGAIN" || performance.now() > giveUpAt) throw error;
      Bun.sleepSync(1);
    }
  }
}
