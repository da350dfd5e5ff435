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
    const { size, mtimeNs, ino } = await stat(path, { bigint: true });
    const stamp = `${size}:${mtimeNs}:${ino}`;
    const known = readCache(cacheFile)[path];
    if (known?.stamp === stamp) return known.sha256;
    const hasher = new Bun.CryptoHasher("sha256");
    for await (const chunk of Bun.file(path).stream()) {
      options.signal?.throwIfAborted();
      hasher.update(chunk);
    }
    const sha256 = hasher.digest("hex");
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
  try {
    mkdirSync(dirname(cacheFile), { recursive: true, mode: 0o700 });
    writeFileAtomic(cacheFile, JSON.stringify(Object.fromEntries([...recent, [path, entry]])));
  } catch {
    return;
  }
}
