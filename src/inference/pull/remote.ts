import type { Clock } from "../../lib/clock.ts";
import { retry } from "../../lib/retry.ts";
import { contentRange, linkedDigest, representationDigest } from "./digest.ts";
import { hashesDisagree, httpError, protocolError } from "./errors.ts";
import type { Download, Transport } from "./transport.ts";

/** A file on a server, as its first answer describes it. */
export type RemoteFile = {
  /** Bytes; undefined when the server does not say. */
  size: number | undefined;
  /** Whether parts of it can be asked for. */
  ranges: boolean;
  /** Names this version of the file, if the server names versions. */
  etag: string | null;
  /** Hex, and who says so. */
  sha256: string | undefined;
  sha256From: "hub" | "server" | undefined;
  /** Where it really lies: asking there saves a redirect per part. */
  location: string;
};

export type RemoteOptions = { transport: Transport; clock: Clock; signal: AbortSignal };

/**
 * Asks for one byte of the file, which tells its size, its hash and whether the server knows ranges.
 * @throws BlfError `PULL_*`
 */
export async function describeRemote(url: string, options: RemoteOptions): Promise<RemoteFile> {
  const { transport, signal } = options;
  return withRetries(options, async () => {
    const answer = await transport.get(url, { Range: "bytes=0-0", "Want-Repr-Digest": "sha-256=10" }, signal);
    answer.close();
    if (answer.status !== 200 && answer.status !== 206) throw httpError(answer.url, answer.status);
    const range = contentRange(answer.headers);
    if (answer.status === 206 && !range) throw protocolError(answer.url, "answers ranges without their place");
    const fromHub = transport.isHub(url) ? linkedDigest(answer.firstHeaders) : undefined;
    const sha256 = fromHub ?? representationDigest(answer.headers);
    return {
      size: range?.total ?? statedLength(answer),
      ranges: answer.status === 206,
      etag: answer.headers.get("etag"),
      sha256,
      sha256From: sha256 === undefined ? undefined : fromHub === undefined ? "server" : "hub",
      location: answer.url,
    };
  });
}

/** Tries again what may pass by itself, six times in all. */
export function withRetries<T>({ clock, signal }: Omit<RemoteOptions, "transport">, action: () => Promise<T>) {
  return retry(action, { clock, signal, attempts: 6, initialMs: 200, maxMs: 10_000 });
}

function statedLength({ headers }: Download): number | undefined {
  const text = headers.get("content-length") ?? "";
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** Refuses what no model file is, before anything is written. @throws BlfError `PULL_SERVER_INVALID` */
export function assertModelSize(url: string, size: number | undefined): void {
  const largest = 4e12;
  if (size !== undefined && (size === 0 || size > largest)) throw protocolError(url, `offers a file of ${size} bytes`);
}

/** Two sources that name different files must not be mixed. @throws BlfError `PULL_HASH_MISMATCH` */
export function agreedSha256(wanted: string | undefined, remote: RemoteFile): string | undefined {
  if (wanted === undefined || remote.sha256 === undefined || wanted === remote.sha256) return wanted ?? remote.sha256;
  throw hashesDisagree(wanted, remote.sha256, "The server");
}
