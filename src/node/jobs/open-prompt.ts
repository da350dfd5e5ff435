import { openText } from "../../crypto/blob.ts";
import { joinKey } from "../../crypto/key-halves.ts";
import { allOrAbort } from "../../lib/concurrent.ts";
import { wipe } from "../../lib/secret.ts";
import type { NodeContext } from "../context.ts";
import { type Job, step } from "./job.ts";

/**
 * The decrypted prompt. Its key, its blob and the model are fetched side by side.
 * @throws BlfError `COFHE_*`, `IPFS_*`, `CID_*`, `BLOB_*`, `PROMPT_NOT_UTF8`, `MODEL_*`
 */
export async function openPrompt(ctx: NodeContext, job: Job, signal: AbortSignal): Promise<string> {
  const { promptCid, modelId } = job.record;
  const handles = { high: job.claim.kpHighHandle, low: job.claim.kpLowHandle };
  const [halves, blob] = await allOrAbort(
    [
      (s) => step(ctx, job, "decrypt-key", s, () => ctx.cofhe.decryptKey(handles, s)),
      (s) => step(ctx, job, "download", s, () => ctx.downloader.download(promptCid, s)),
      (s) => step(ctx, job, "warm-model", s, () => ctx.inference.warm(modelId, s)),
    ],
    signal,
  );
  const key = joinKey(halves);
  try {
    return await openText(key, blob);
  } finally {
    wipe(key);
  }
}
