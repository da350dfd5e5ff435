import { sealText } from "../../crypto/blob.ts";
import { commitment } from "../../crypto/commitment.ts";
import { allOrAbort } from "../../lib/concurrent.ts";
import { BlfError } from "../../lib/errors.ts";
import { wipe } from "../../lib/secret.ts";
import type { NodeContext } from "../context.ts";
import { generate } from "./generate.ts";
import { type Job, step, submission } from "./job.ts";
import { openPrompt } from "./open-prompt.ts";
import { storeOutputKey, takeOutputKey, unsealOutputKey } from "./output-key.ts";
import { verifiesOutput, verifyOutput } from "./verify-output.ts";

/** Answers a prompt as the quorum's leader, from the claim to the accepted submission (DESIGN.md section 3). */
export async function runLeader(ctx: NodeContext, job: Job, signal: AbortSignal): Promise<void> {
  const prompt = await openPrompt(ctx, job, signal);
  const outputKey = await step(ctx, job, "take-output-key", signal, (s) => takeOutputKey(ctx, job.key, s));
  try {
    const [output] = await allOrAbort(
      [
        async (s) => {
          const isVerified = verifiesOutput(ctx, job);
          const generation = await generate(ctx, job, prompt, s, { keepsModel: isVerified });
          ctx.journal.advance(job.key, "generated", { determinismClass: generation.determinismClass });
          const blob = await sealText(outputKey.key, generation.text, ctx.random);
          const verified = { prompt, output: generation.text };
          const [outputCid] = await allOrAbort(
            [
              (s) => step(ctx, job, "upload", s, () => upload(ctx, blob, s)),
              async (s) => isVerified && verifyOutput(ctx, job, verified, s),
            ],
            s,
          );
          return { outputCid, commitment: commitment(outputCid, generation.text) };
        },
        (s) => step(ctx, job, "store-key", s, () => storeOutputKey(ctx, job.record, outputKey, s)),
      ],
      signal,
    );
    ctx.journal.advance(job.key, "uploaded", output);
    Object.assign(job.record, output);
  } finally {
    wipe(outputKey.key);
  }
  await submitLeader(ctx, job, signal);
}

/**
 * The second half of a leader's job: everything after the output is uploaded. Needs neither prompt nor output, so a job that was
 * interrupted here goes on here.
 */
export async function submitLeader(ctx: NodeContext, job: Job, signal: AbortSignal): Promise<void> {
  const { outputCid, commitment: promised, taskId } = job.record;
  if (!outputCid || !promised) throw new Error("a leader's job was uploaded without a CID");
  const { key, encrypted } = await unsealOutputKey(ctx, ctx.journal.find(job.key) ?? job.record);
  wipe(key);
  if (!job.record.outputKeyTx)
    await step(ctx, job, "store-key", signal, (s) => storeOutputKey(ctx, job.record, { key, encrypted }, s));
  const state = ctx.journal.find(job.key)?.state;
  if (state === "uploaded") ctx.journal.advance(job.key, "key-stored");
  ctx.journal.commit(job.key, promised);
  if (state !== "committed") ctx.journal.advance(job.key, "committed", {}, { durable: true });
  const result = {
    jobId: taskId,
    outputCid,
    commitment: promised,
    encryptedKey: encrypted,
    outputKeyStoreTx: job.record.outputKeyTx!,
  };
  const answer = await step(ctx, job, "submit", signal, (s) => ctx.icl.submitResult(result, s), submission);
  job.record.timings["total"] = ctx.clock.now() - job.startedAt;
  ctx.journal.advance(job.key, "submitted", { timings: job.record.timings }, { durable: true });
  job.log.info("result submitted", { cid: outputCid, commitment: promised, state: answer.status });
}

async function upload(ctx: NodeContext, blob: Uint8Array, signal: AbortSignal): Promise<string> {
  if (!ctx.uploader)
    throw new BlfError({
      code: "IPFS_UPLOAD_NOT_CONFIGURED",
      message: "There is no service to upload the output to",
      hint: "Set BLF_IPFS_UPLOAD_JWT for Pinata, or ipfs_upload_url for a Kubo node.",
    });
  return ctx.uploader.upload(blob, "blindference-output.bin", signal);
}
