import { BlfError, exitCodes } from "../../lib/errors.ts";
import { safeOrigin } from "../../lib/http.ts";

/** The connection broke or the server is busy: the same request may work later. */
export function unreachable(url: string, what: string, cause?: unknown): BlfError {
  return new BlfError({
    code: "PULL_UNREACHABLE",
    message: `The server at ${safeOrigin(url)} ${what}`,
    hint: "What was downloaded is kept: run the same command again to go on.",
    retryable: true,
    cause,
  });
}

/** What a status other than 200 and 206 means. 429 and 5xx may pass. */
export function httpError(url: string, status: number): BlfError {
  const origin = safeOrigin(url);
  if (status === 401 || status === 403)
    return new BlfError({
      code: "PULL_UNAUTHORISED",
      message: `The server at ${origin} refuses the download (HTTP ${status})`,
      hint: "For a gated model of the hub accept its licence there and set HF_TOKEN; a signed link may have expired.",
      exitCode: exitCodes.authentication,
    });
  if (status === 404 || status === 410)
    return new BlfError({
      code: "PULL_NOT_FOUND",
      message: `The server at ${origin} has no such file (HTTP ${status})`,
      hint: "Check the repository, the name of the file and upper case.",
    });
  if (status === 429 || status >= 500) return unreachable(url, `answers HTTP ${status}`);
  return new BlfError({
    code: "PULL_HTTP_ERROR",
    message: `The server at ${origin} answers HTTP ${status}`,
    hint: "Check the URL.",
  });
}

export function protocolError(url: string, what: string): BlfError {
  return new BlfError({
    code: "PULL_SERVER_INVALID",
    message: `The server at ${safeOrigin(url)} ${what}`,
    hint: "Download from another server.",
  });
}

/** The file, however often it is fetched, is not the one that was meant. */
export function hashMismatch(expected: string): BlfError {
  return new BlfError({
    code: "PULL_HASH_MISMATCH",
    message: `The file does not have the SHA-256 ${expected}`,
    hint: "It was not installed and what was downloaded is gone. Check --sha256, or download from another server.",
  });
}

/** Two places name different hashes, which is seen before anything is downloaded. */
export function hashesDisagree(wanted: string, other: string, who: string): BlfError {
  return new BlfError({
    code: "PULL_HASH_MISMATCH",
    message: `${who} names the SHA-256 ${other}, not ${wanted}`,
    hint: "Nothing was downloaded. Check --sha256 and the name of the file.",
  });
}

export function chunkCorrupt(url: string): BlfError {
  return new BlfError({
    code: "PULL_CHUNK_CORRUPT",
    message: `A part of the file from ${safeOrigin(url)} does not have the SHA-256 it should have, however often it is fetched`,
    hint: "Download from another server; with --sha256 the whole file decides.",
  });
}

export function changed(url: string): BlfError {
  return new BlfError({
    code: "PULL_CHANGED",
    message: `The file at ${safeOrigin(url)} changed while it was downloaded`,
    hint: "Run the same command again: it starts from the beginning.",
  });
}
