import type { Address, Hex } from "viem";
import { readKeyHandles, storeKey } from "../chain/prompt-key-store.ts";
import { createContentKey, openText, sealText } from "../crypto/blob.ts";
import { commitment, outputKeyJobId } from "../crypto/commitment.ts";
import { joinKey, splitKey } from "../crypto/key-halves.ts";
import { bytesMatch, cidMismatch, parseCid } from "../ipfs/cid.ts";
import { allOrAbort } from "../lib/concurrent.ts";
import { BlfError } from "../lib/errors.ts";
import { wipe } from "../lib/secret.ts";
import { assertConfirmed } from "./confirmations.ts";
import type { RequesterContext } from "./context.ts";
import { waitForJob } from "./wait-for-job.ts";

export type InferStage = "encrypted" | "key-stored" | "submitted" | "answered" | "decrypted";

export type InferParameters = {
  prompt: string;
  modelId: string;
  verifierCount: number;
  currency: "blind" | "cusdc";
  signal: AbortSignal;
  /** Told as each stage ends, with its duration in milliseconds. */
  onStage?: (stage: InferStage, ms: number) => void;
};

export type InferResult = {
  taskId: Hex;
  jobId: string;
  answer: string;
  promptCid: string;
  outputCid: string;
  /** Recomputed from the CID and the decrypted text, and equal to the quorum's. */
  commitment: string;
  leader: Address;
  verifiers: Address[];
};

/**
 * Asks the network: encrypts, buys a quorum, decrypts, and checks the answer (PROTOCOL.md 9). Unlike the original client
 * it recomputes the commitment from what it decrypted, and makes sure that enough nodes confirmed it and that the nodes that
 * were paid are those that it let read the prompt.
 * @throws BlfError `QUORUM_INCOMPLETE`, `ANSWER_*`, `JOB_*`, `ICL_*`, `PAYMENT_*`, `CHAIN_*`, `COFHE_*`, `IPFS_*`
 */
export async function infer(ctx: RequesterContext, parameters: InferParameters): Promise<InferResult> {
  const { signal } = parameters;
  let last = ctx.clock.now();
  const stage = (name: InferStage) => {
    const now = ctx.clock.now();
    parameters.onStage?.(name, now - last);
    last = now;
  };
  const taskId: Hex = `0x${Buffer.from(ctx.random(32)).toString("hex")}`;
  const key = createContentKey(ctx.random);
  const blob = await sealText(key, parameters.prompt, ctx.random);
  const halves = splitKey(key);
  wipe(key);
  const [encryptedKeys, quorum, promptCid] = await allOrAbort(
    [
      (s) => ctx.cofhe.encryptKeys([halves], s),
      (s) => ctx.client.quorumPreview(parameters.modelId, parameters.verifierCount, s),
      (s) => ctx.client.uploadPrompt(blob, s),
    ],
    signal,
  );
  if (!(await bytesMatch(parseCid(promptCid), blob))) throw cidMismatch();
  stage("encrypted");
  const encryptedKey = encryptedKeys[0]!;
  const allowed = [quorum.leader, ...quorum.verifiers];
  assertOffered(allowed, parameters.verifierCount);
  const promptKeyStoreTx = await storeKey(
    ctx.sender,
    { store: ctx.keyStore, jobId: taskId, key: encryptedKey, allowed },
    signal,
  );
  stage("key-stored");
  const { job_id: jobId } = await ctx.client.submit(
    {
      userAddress: ctx.address,
      taskId,
      promptCid,
      modelId: parameters.modelId,
      encryptedKey,
      promptKeyStoreTx,
      promptKeyStoreAddress: ctx.keyStore,
      promptLength: parameters.prompt.length,
      verifierCount: parameters.verifierCount,
      currency: parameters.currency,
    },
    signal,
  );
  stage("submitted");
  const job = await waitForJob(ctx, jobId, signal);
  stage("answered");
  const { verifierCount } = parameters;
  const [answer, confirmed] = await allOrAbort(
    [(s) => readAnswer(ctx, taskId, job.outputCid, s), (s) => assertConfirmed(ctx, { taskId, verifierCount }, s)],
    signal,
  );
  const recomputed = commitment(job.outputCid, answer);
  if (recomputed !== job.commitment || recomputed !== (confirmed ?? recomputed)) throw commitmentMismatch();
  assertQuorum(allowed, [job.leader, ...job.verifiers]);
  stage("decrypted");
  return {
    taskId,
    jobId,
    answer,
    promptCid,
    outputCid: job.outputCid,
    commitment: recomputed,
    leader: job.leader,
    verifiers: job.verifiers,
  };
}

/** The handles come from the chain, not from the coordinator: it could name another key. */
async function readAnswer(ctx: RequesterContext, taskId: Hex, outputCid: string, signal: AbortSignal): Promise<string> {
  const [halves, blob] = await allOrAbort(
    [
      async (s) => ctx.cofhe.decryptKey(await readKeyHandles(ctx.chain, ctx.keyStore, outputKeyJobId(taskId)), s),
      (s) => ctx.downloader.download(outputCid, s),
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

function commitmentMismatch(): BlfError {
  return new BlfError({
    code: "ANSWER_COMMITMENT_MISMATCH",
    message: "The decrypted answer is not the one that the quorum committed to",
    hint: "Do not trust this answer; dispute the job.",
  });
}

/** Before anything is paid: fewer nodes than were asked for, or one of them twice, are not the quorum that was meant. */
function assertOffered(allowed: Address[], verifierCount: number): void {
  const distinct = new Set(allowed).size;
  if (distinct === verifierCount + 1 && distinct === allowed.length) return;
  throw new BlfError({
    code: "QUORUM_INCOMPLETE",
    message: `The coordinator offers a quorum of ${distinct} different nodes for a job of ${verifierCount + 1}`,
    hint: "Nothing was paid. Ask again later, or for fewer --verifiers.",
    retryable: true,
  });
}

/** A coordinator may replace nodes that fail, but it may not put in nodes for all of them. */
function assertQuorum(allowed: Address[], actual: Address[]): void {
  const known = new Set(allowed.map((address) => address.toLowerCase()));
  const distinct = new Set(actual.map((address) => address.toLowerCase()));
  const strangers = [...distinct].filter((address) => !known.has(address));
  if (distinct.size === allowed.length && strangers.length * 2 < allowed.length) return;
  throw new BlfError({
    code: "ANSWER_QUORUM_CHANGED",
    message: "The nodes that answered are not the quorum that was allowed to read the prompt",
    hint: "Do not trust this answer; dispute the job.",
  });
}
