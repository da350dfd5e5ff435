import { dirname } from "node:path";
import { allOrAbort } from "../../lib/concurrent.ts";
import { type Chunk, type ChunkContext, type FetchedChunk, fetchChunk } from "./chunk.ts";
import { assertGgufStart, type Fetched, type PullContext } from "./context.ts";
import { hashMismatch } from "./errors.ts";
import { assertSpace, type PartFile } from "./part-file.ts";
import { createStateWriter, newState, readState } from "./state.ts";
import { createWholeHash } from "./whole-hash.ts";

/**
 * Fetches a file in chunks over several connections, beginning with what an earlier run has left.
 *
 * A line that is cut costs no byte twice. A chunk with a wrong byte is found and fetched again by itself where anybody knows the hash of a
 * chunk: a server that sends `Content-Digest` (RFC 9530), or a manifest. Where only the hash of the whole file is known, as on most hubs,
 * nothing tells which chunk is wrong without looking at another copy of it: then chunks are fetched a second time, those with cut
 * lines first, until one differs from the disk and the whole is right. That costs half of the file on average, which is still less than all of it.
 * @throws BlfError `PULL_*`, `FILE_*`, `DISK_FULL`, `MODEL_NOT_GGUF`
 */
export async function fetchRanged(context: PullContext & { size: number }, file: PartFile): Promise<Fetched> {
  const { size, remote, clock, statePath, expected, manifest } = context;
  const chunkSize = manifest?.chunk_size ?? context.chunkSize;
  const count = Math.ceil(size / chunkSize);
  const identity = { url: context.url, size, etag: remote.etag, sha256: expected ?? null, chunkSize };
  const state = readState(statePath, identity) ?? newState(identity);
  const writer = createStateWriter(statePath, state, clock);
  const boundsOf = (index: number): Chunk => {
    const sha256 = manifest?.chunks[index];
    return { start: index * chunkSize, end: Math.min(size, (index + 1) * chunkSize), sha256 };
  };
  const bytesOf = (index: number) => boundsOf(index).end - boundsOf(index).start;
  const isThere = (index: number) => state.chunks[index] !== undefined;
  const all = Array.from({ length: count }, (_, index) => index);
  const missing = all.filter((index) => !isThere(index));
  const resumed = all.filter(isThere).reduce((sum, index) => sum + bytesOf(index), 0);
  // What an unfinished chunk took is written over.
  await assertSpace(dirname(statePath), size - (await file.allocated()));
  await file.resize(size);

  let received = resumed;
  const report = () => context.onProgress({ received, total: size });
  report();
  const chunkContext: ChunkContext = {
    url: context.url,
    remote: { ...remote, size },
    hasWholeHash: expected !== undefined,
    transport: context.transport,
    clock,
    signal: context.signal,
    onBytes: (bytes) => {
      received += bytes;
      report();
    },
  };

  const fetched = new Map<number, FetchedChunk>();
  let refetched = 0;
  const whole = createWholeHash({
    file,
    size,
    chunkSize,
    isThere,
    check: (index, bytes) => {
      // What an earlier run wrote may not have reached the disk before the power went.
      if (fetched.has(index) || sha256(bytes) === state.chunks[index]) return true;
      delete state.chunks[index];
      received -= bytesOf(index);
      missing.push(index);
      return false;
    },
  });
  const work = async (signal: AbortSignal) => {
    for (let index = missing.shift(); index !== undefined; index = missing.shift()) {
      const chunk = await fetchChunk({ ...chunkContext, signal }, boundsOf(index), file);
      if (index === 0) await assertGgufStart(file);
      fetched.set(index, chunk);
      refetched += chunk.refetches;
      state.chunks[index] = chunk.sha256;
      writer.changed();
      await whole.advance();
    }
  };

  /** Tells the wrong chunks from the right ones by fetching them again, and gives the hash of the whole that this leads to. */
  const repair = async (): Promise<string> => {
    const suspicion = (index: number) => {
      const chunk = fetched.get(index);
      return chunk?.proven ? 0 : 1 + (chunk?.cuts ?? 0);
    };
    const suspects = all.filter((index) => suspicion(index) > 0).sort((a, b) => suspicion(b) - suspicion(a));
    for (const index of suspects) {
      received -= bytesOf(index);
      const again = await fetchChunk(chunkContext, boundsOf(index), file);
      refetched += 1 + again.refetches;
      if (again.sha256 === state.chunks[index]) continue;
      state.chunks[index] = again.sha256;
      writer.changed();
      const rehash = createWholeHash({ file, size, chunkSize, isThere, check: () => true });
      await rehash.advance();
      const digest = rehash.digest();
      if (digest === expected) return digest;
    }
    throw hashMismatch(expected!);
  };

  try {
    while (whole.position() < count) {
      const workers = Array.from({ length: Math.min(context.connections, Math.max(1, missing.length)) }, () => work);
      await allOrAbort(workers, context.signal);
      await whole.advance();
    }
    const digest = whole.digest();
    const isWrong = expected !== undefined && digest !== expected;
    return { bytes: size, sha256: isWrong ? await repair() : digest, resumed, refetched };
  } finally {
    writer.end();
  }
}

function sha256(bytes: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
}
