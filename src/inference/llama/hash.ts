import { mkdirSync, readFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { BlfError, errorCode } from "../../lib/errors.ts";
import { writeFileAtomic } from "../../lib/files.ts";
import { cacheDirectory } from "./cache-directory.ts";

export type HashOptions = {
  signal?: AbortSignal;
  /** Where hashes of earlier runs are remembered; gigabytes are not read again while path, size, time and inode are the same. */
  cacheFile?: string;
};

type Remembered = Record<string, { stamp: string; sha256: string }>;

const mostRemembered = 256;

/**
 * SHA-256 of a file as hex. It is read in pieces, so that a large model does not hold up the event loop.
 * @throws BlfError `MODEL_UNREADABLE`; the signal's reason when aborted.
 */
export async function modelSha256(path: string, options: HashOptions = {}): Promise<string> {
  const cacheFile = options.cacheFile ?? join(cacheDirectory(), "gguf-hashes.json");
  try {
    const stamp = await stampOf(path);
    const known = readCache(cacheFile)[path];
    if (known?.stamp === stamp) return known.sha256;
    const sha256 = await hashFile(path, options.signal);
    remember(cacheFile, path, { stamp, sha256 });
    return sha256;
  } catch (error) {
    if (options.signal?.aborted) throw options.signal.reason;
    throw new BlfError({
      code: "MODEL_UNREADABLE",
      message: `The model file ${path} cannot be read (${errorCode(error)})`,
      hint: "Check that the file is there and that this user may read it.",
      cause: error,
    });
  }
}

/** The remembered SHA-256 of a file that has not changed since; undefined when it would have to be read. */
export async function knownSha256(path: string, options: HashOptions = {}): Promise<string | undefined> {
  const known = readCache(options.cacheFile ?? join(cacheDirectory(), "gguf-hashes.json"))[path];
  if (!known) return undefined;
  const stamp = await stampOf(path).catch(() => undefined);
  return known.stamp === stamp ? known.sha256 : undefined;
}

/**
 * SHA-256 of what a file holds now, whatever is remembered of it; from now on this is remembered.
 * @throws BlfError `MODEL_UNREADABLE`; the signal's reason when aborted.
 */
export async function freshSha256(path: string, options: HashOptions = {}): Promise<string> {
  forget(options.cacheFile ?? join(cacheDirectory(), "gguf-hashes.json"), path);
  return modelSha256(path, options);
}

async function hashFile(path: string, signal: AbortSignal | undefined): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  for await (const chunk of Bun.file(path).stream()) {
    signal?.throwIfAborted();
    hasher.update(chunk);
  }
  return hasher.digest("hex");
}

/** What changes when a file is written again. */
async function stampOf(path: string): Promise<string> {
  const { size, mtimeNs, ino } = await stat(path, { bigint: true });
  return `${size}:${mtimeNs}:${ino}`;
}

function readCache(cacheFile: string): Remembered {
  try {
    const cache: unknown = JSON.parse(readFileSync(cacheFile, "utf8"));
    if (typeof cache !== "object" || cache === null) return {};
    const entries = Object.entries(cache as Remembered);
    return Object.fromEntries(
      entries.filter(([, entry]) => typeof entry?.stamp === "string" && /^[0-9a-f]{64}$/.test(entry.sha256)),
    );
  } catch {
    return {};
  }
}

/** The cache only saves time: where it cannot be written, the file is read again next time. */
function remember(cacheFile: string, path: string, entry: Remembered[string]): void {
  const { [path]: _old, ...others } = readCache(cacheFile);
  const recent = Object.entries(others).slice(1 - mostRemembered);
  writeCache(cacheFile, Object.fromEntries([...recent, [path, entry]]));
}

function forget(cacheFile: string, path: string): void {
  const { [path]: known, ...others } = readCache(cacheFile);
  if (known) writeCache(cacheFile, others);
}

function writeCache(cacheFile: string, cache: Remembered): void {
  try {
    mkdirSync(dirname(cacheFile), { recursive: true, mode: 0o700 });
    writeFileAtomic(cacheFile, JSON.stringify(cache));
  } catch {
    return;
  }
}
