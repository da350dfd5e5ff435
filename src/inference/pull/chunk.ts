import type { Clock } from "../../lib/clock.ts";
import { isRetryable } from "../../lib/errors.ts";
import { backoff } from "../../lib/retry.ts";
import { contentDigest, contentRange } from "./digest.ts";
import { changed, chunkCorrupt, httpError, protocolError, unreachable } from "./errors.ts";
import type { PartFile } from "./part-file.ts";
import type { RemoteFile } from "./remote.ts";
import type { Download, Transport } from "./transport.ts";

export type ChunkContext = {
  /** What the user named; asked again when the place it led to no longer answers. */
  url: string;
  remote: RemoteFile & { size: number };
  /** Whether a hash of the whole file will show what no digest of a part does. */
  hasWholeHash: boolean;
  transport: Transport;
  clock: Clock;
  signal: AbortSignal;
  /** Called with each piece that came, in bytes. */
  onBytes(count: number): void;
};

/** Bytes `start` to `end`, the end not included. */
export type Chunk = { start: number; end: number; sha256?: string | undefined };

export type FetchedChunk = {
  sha256: string;
  /** Whether somebody vouched for this chunk by itself. */
  proven: boolean;
  /** How often its line was cut. */
  cuts: number;
  /** How often it was fetched again from its beginning. */
  refetches: number;
};

const attemptsWithoutProgress = 6;
const mostCuts = 100;
const mostCopies = 3;

/**
 * Fetches one chunk into the file. A line that is cut is taken up where it broke, so a cut costs a request, and what
 * lay unread in the runtime's buffers. Where the server
 * vouches for the bytes of a range (`Content-Digest`), or a manifest does, a chunk that arrived with an error is seen here and is all that
 * is fetched again.
 * @throws BlfError `PULL_*`, `FILE_*`
 */
export async function fetchChunk(context: ChunkContext, chunk: Chunk, file: PartFile): Promise<FetchedChunk> {
  let cuts = 0;
  const seen = new Set<string>();
  for (let refetches = 0; ; refetches++) {
    const copy = await fetchCopy(context, chunk, file);
    cuts += copy.cuts;
    const expected = chunk.sha256 ?? copy.digest;
    if (expected === undefined || copy.sha256 === expected)
      return { sha256: copy.sha256, proven: expected !== undefined, cuts, refetches };
    // Two equal copies: it is the digest that is wrong. The hash of the whole file, where there is one, has the last word.
    if (seen.has(copy.sha256) && context.hasWholeHash) return { sha256: copy.sha256, proven: false, cuts, refetches };
    seen.add(copy.sha256);
    if (refetches + 1 === mostCopies) throw chunkCorrupt(context.url);
    context.onBytes(chunk.start - chunk.end);
  }
}

type Copy = { sha256: string; digest: string | undefined; cuts: number };

async function fetchCopy(context: ChunkContext, { start, end }: Chunk, file: PartFile): Promise<Copy> {
  const { clock, signal } = context;
  const hasher = new Bun.CryptoHasher("sha256");
  let digest: string | undefined;
  let cuts = 0;
  let failures = 0;
  let position = start;
  while (position < end) {
    const before = position;
    try {
      const answer = await requestRange(context, position, end);
      // What the first answer vouches for is the whole chunk, even if its line is cut and another answer brings the rest.
      if (position === start) digest = contentDigest(answer.headers);
      for await (const bytes of answer.body) {
        if (position + bytes.length > end) throw protocolError(answer.url, "sends more than it was asked for");
        await file.write(bytes, position);
        hasher.update(bytes);
        position += bytes.length;
        context.onBytes(bytes.length);
      }
      if (position < end) throw unreachable(answer.url, "cut the connection");
    } catch (error) {
      signal.throwIfAborted();
      cuts++;
      failures = position > before ? 0 : failures + 1;
      if (!isRetryable(error) || failures >= attemptsWithoutProgress || cuts > mostCuts) throw error;
      await clock.sleep(backoff(failures, { initialMs: 100, maxMs: 10_000 }), signal);
    }
  }
  return { sha256: hasher.digest("hex"), digest, cuts };
}

async function requestRange(context: ChunkContext, start: number, end: number): Promise<Download> {
  const { remote, transport, signal } = context;
  const headers = { Range: `bytes=${start}-${end - 1}`, "Want-Content-Digest": "sha-256=10" };
  let answer = await transport.get(remote.location, headers, signal);
  if ([401, 403, 404, 410].includes(answer.status) && remote.location !== context.url) {
    // Signed addresses expire in the middle of a long download.
    answer.close();
    answer = await transport.get(context.url, headers, signal);
    remote.location = answer.url;
  }
  try {
    checkRange(context, answer, start, end);
    return answer;
  } catch (error) {
    answer.close();
    throw error;
  }
}

function checkRange({ remote, hasWholeHash }: ChunkContext, answer: Download, start: number, end: number): void {
  if (answer.status === 200) throw protocolError(answer.url, "stopped to answer ranges");
  if (answer.status !== 206) throw httpError(answer.url, answer.status);
  const range = contentRange(answer.headers);
  if (range?.first !== start || range.last !== end - 1)
    throw protocolError(answer.url, "answers with another range than it was asked for");
  const etag = answer.headers.get("etag");
  const otherVersion = !hasWholeHash && etag !== null && remote.etag !== null && etag !== remote.etag;
  if (range.total !== remote.size || otherVersion) throw changed(answer.url);
}
