import { dirname } from "node:path";
import { isRetryable } from "../../lib/errors.ts";
import { backoff } from "../../lib/retry.ts";
import { assertGgufStart, type Fetched, type PullContext } from "./context.ts";
import { hashMismatch, httpError, unreachable } from "./errors.ts";
import { assertSpace, type PartFile } from "./part-file.ts";

const mostAttempts = 5;

/**
 * Fetches a file from a server that knows no ranges: in one piece, and from the beginning whenever the line is cut.
 * @throws BlfError `PULL_*`, `FILE_*`, `DISK_FULL`, `MODEL_NOT_GGUF`
 */
export async function fetchStream(context: PullContext, file: PartFile): Promise<Fetched> {
  const { expected, clock, signal } = context;
  if (context.size !== undefined) await assertSpace(dirname(context.statePath), context.size);
  for (let attempt = 0; ; attempt++) {
    try {
      const { bytes, sha256 } = await fetchOnce(context, file);
      if (expected !== undefined && sha256 !== expected) throw hashMismatch(expected);
      return { bytes, sha256, resumed: 0, refetched: attempt };
    } catch (error) {
      signal.throwIfAborted();
      // A byte that was damaged on its way is right the next time; a hash that is wrong stays so.
      const mayPass =
        isRetryable(error) || (attempt === 0 && (error as { code?: string }).code === "PULL_HASH_MISMATCH");
      if (!mayPass || attempt + 1 === mostAttempts) throw error;
      await clock.sleep(backoff(attempt, { initialMs: 100, maxMs: 10_000 }), signal);
    }
  }
}

async function fetchOnce(context: PullContext, file: PartFile): Promise<{ bytes: number; sha256: string }> {
  const { remote, transport, signal, size } = context;
  const hasher = new Bun.CryptoHasher("sha256");
  const answer = await transport.get(remote.location, {}, signal);
  let position = 0;
  await file.resize(0);
  try {
    if (answer.status !== 200) throw httpError(answer.url, answer.status);
    for await (const bytes of answer.body) {
      await file.write(bytes, position);
      hasher.update(bytes);
      const before = position;
      position += bytes.length;
      if (before < 4 && position >= 4) await assertGgufStart(file);
      context.onProgress({ received: position, total: size });
    }
  } finally {
    answer.close();
  }
  if (size !== undefined && position !== size) throw unreachable(answer.url, "cut the connection");
  await assertGgufStart(file);
  return { bytes: position, sha256: hasher.digest("hex") };
}
