import { readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import { BlfError, errorCode } from "../../lib/errors.ts";
import { ensurePrivateDirectory } from "../../lib/files.ts";
import { readGgufFile } from "../llama/gguf.ts";
import type { Fetched, PullContext, PullProgress } from "./context.ts";
import { hashesDisagree } from "./errors.ts";
import { lockDownload } from "./lock.ts";
import type { Manifest } from "./manifest.ts";
import { openPartFile, removeFiles } from "./part-file.ts";
import { fetchRanged } from "./ranged.ts";
import { agreedSha256, assertModelSize, describeRemote, type RemoteFile } from "./remote.ts";
import { fetchStream } from "./stream.ts";
import type { Transport } from "./transport.ts";

export type PullOptions = {
  url: string;
  /** Where the file goes when all of it is there. */
  target: string;
  /** The SHA-256 that it must have, hex. */
  sha256?: string | undefined;
  manifest?: Manifest | undefined;
  /** Parts that are fetched side by side. */
  connections: number;
  /** Bytes; 8 MiB by default. */
  chunkSize?: number;
  transport: Transport;
  clock: Clock;
  signal: AbortSignal;
  onProgress?: (progress: PullProgress) => void;
};

export type PullResult = Fetched & {
  /** What the hash was compared with; null when nobody had told it. */
  checkedAgainst: "option" | "manifest" | "hub" | "server" | null;
};

export const defaultChunkSize = 8 * 1024 * 1024;

/**
 * Downloads a GGUF. Beside the target lie, until it is complete, `.part` and `.part.json`, with which a later call goes on; the target
 * appears in one moment, hashed, its header checked, and on the disk.
 * @throws BlfError `PULL_*`, `MODEL_*`, `FILE_*`, `DISK_FULL`; the signal's reason when aborted
 */
export async function pullFile(options: PullOptions): Promise<PullResult> {
  const { url, target, manifest, sha256, transport, clock, signal } = options;
  ensurePrivateDirectory(dirname(target));
  const lock = lockDownload(`${target}.part.lock`);
  try {
    await removeFiles(...temporaryStates(target));
    const remote = await describeRemote(url, { transport, clock, signal });
    assertModelSize(url, remote.size);
    if (manifest) assertSameFile(manifest, sha256, remote);
    const fetched = await fetchTo(target, {
      ...options,
      remote,
      size: remote.size,
      expected: agreedSha256(sha256 ?? manifest?.sha256, remote),
      chunkSize: options.chunkSize ?? defaultChunkSize,
      statePath: `${target}.part.json`,
      onProgress: options.onProgress ?? (() => {}),
    });
    const checkedAgainst = sha256 ? "option" : manifest ? "manifest" : (remote.sha256From ?? null);
    return { ...fetched, checkedAgainst };
  } finally {
    lock.release();
  }
}

async function fetchTo(target: string, context: PullContext): Promise<Fetched> {
  const { remote, size, statePath } = context;
  const partPath = `${target}.part`;
  const file = await openPartFile(partPath);
  try {
    const fetched =
      remote.ranges && size !== undefined
        ? await fetchRanged({ ...context, size }, file)
        : await fetchStream(context, file);
    readGgufFile(partPath);
    await file.finish(target);
    await removeFiles(statePath);
    return fetched;
  } catch (error) {
    if (isUseless(error)) await removeFiles(partPath, statePath);
    throw error;
  } finally {
    await file.close();
  }
}

/** Whether what lies on the disk would only lead to the same error again. */
function isUseless(error: unknown): boolean {
  const code = errorCode(error);
  return code.startsWith("MODEL_") || code === "PULL_HASH_MISMATCH" || code === "PULL_CHANGED";
}

/** What a process that was killed while it wrote its state has left. */
function temporaryStates(target: string): string[] {
  const directory = dirname(target);
  const prefix = `${basename(target)}.part.json.`;
  return readdirSync(directory)
    .filter((name) => name.startsWith(prefix) && name.endsWith(".tmp"))
    .map((name) => join(directory, name));
}

function assertSameFile(manifest: Manifest, sha256: string | undefined, remote: RemoteFile): void {
  if (sha256 && manifest.sha256 !== sha256) throw hashesDisagree(sha256, manifest.sha256, "The manifest");
  if (remote.size === undefined || manifest.size === remote.size) return;
  throw new BlfError({
    code: "PULL_MANIFEST_INVALID",
    message: `The manifest is of a file of ${manifest.size} bytes, but the server's has ${remote.size}`,
    hint: "Take the manifest of this very file.",
  });
}
