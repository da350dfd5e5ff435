import { minimumBlobBytes } from "../../crypto/blob.ts";
import { uniform } from "../../crypto/random.ts";
import { deadlineSignal } from "../../lib/deadline.ts";
import { BlfError } from "../../lib/errors.ts";
import { retry } from "../../lib/retry.ts";
import type { NodeContext } from "../context.ts";
import type { JobRecord } from "../journal/job-record.ts";

/** A prompt that cannot be had within this time is not waited for, in milliseconds: its job is not claimed yet. */
const patienceMs = 30_000;

/**
 * Downloads the encrypted prompt before the job is claimed: a claim without a result costs more than a job that somebody else does. What
 * is downloaded is kept for the minute in which the job opens it.
 * @throws BlfError `IPFS_*`, `CID_*`, `BLOB_TOO_SHORT`, `MODEL_PROMPT_TOO_LONG`
 */
export async function lookAtPrompt(ctx: NodeContext, record: JobRecord, signal: AbortSignal): Promise<void> {
  const limit = deadlineSignal(ctx.clock, ctx.clock.now() + patienceMs, signal);
  let last: unknown;
  try {
    const blob = await retry(
      () =>
        ctx.downloader.download(record.promptCid, limit.signal).catch((error: unknown) => {
          if (!limit.signal.aborted) last = error;
          throw error;
        }),
      {
        clock: ctx.clock,
        attempts: Number.POSITIVE_INFINITY,
        initialMs: 250,
        maxMs: 10_000,
        random: () => uniform(ctx.random),
        signal: limit.signal,
      },
    );
    assertUsable(ctx, record, blob.length - minimumBlobBytes);
  } catch (error) {
    // Not the time that is over, but why it was not enough.
    throw limit.signal.aborted && !signal.aborted ? (last ?? error) : error;
  } finally {
    limit.clear();
  }
}

/** @param bytes of the prompt, as UTF-8: a blob is longer than its text by the same everywhere */
function assertUsable(ctx: NodeContext, { modelId }: JobRecord, bytes: number): void {
  if (bytes < 0)
    throw new BlfError({
      code: "BLOB_TOO_SHORT",
      message: "The encrypted prompt is too short to be one",
      hint: "Nothing to do here: the requester has to upload it again.",
    });
  if (!ctx.inference.mayFit(modelId, bytes))
    throw new BlfError({
      code: "MODEL_PROMPT_TOO_LONG",
      message: `A prompt of ${bytes} bytes does not fit into the context of ${modelId}`,
      hint: "Nothing to do here: it is too long for this model, or set a larger context_size.",
    });
}
