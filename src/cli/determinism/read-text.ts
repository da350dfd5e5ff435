import { BlfError, exitCodes } from "../../lib/errors.ts";
import { fileError } from "../../lib/files.ts";

const mostBytes = 16_000_000;

/** A text byte for byte, `-` being standard input. @throws BlfError `FILE_*`, `TEXT_TOO_LARGE`, `TEXT_NOT_UTF8` */
export async function readText(path: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    const stream = path === "-" ? Bun.stdin.stream() : Bun.file(path).stream();
    for await (const chunk of stream as unknown as AsyncIterable<Uint8Array>) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > mostBytes) throw tooLarge();
    }
  } catch (error) {
    throw error instanceof BlfError ? error : fileError("read", path === "-" ? "standard input" : path, error);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.concat(chunks));
  } catch {
    throw new BlfError({
      code: "TEXT_NOT_UTF8",
      message: "A text to verify is not UTF-8",
      hint: "Give it as UTF-8: that is what prompts and answers are.",
      exitCode: exitCodes.usage,
    });
  }
}

function tooLarge(): BlfError {
  return new BlfError({
    code: "TEXT_TOO_LARGE",
    message: "A text to verify has more than 16 MB",
    hint: "No model has a context for that: check the file.",
    exitCode: exitCodes.usage,
  });
}
