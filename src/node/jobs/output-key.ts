import { storeKey } from "../../chain/prompt-key-store.ts";
import type { OutputKey } from "../../cofhe/key-pool.ts";
import { outputKeyJobId } from "../../crypto/commitment.ts";
import { BlfError } from "../../lib/errors.ts";
import type { NodeContext } from "../context.ts";
import { parseEncryptedKey, serialiseEncryptedKey } from "../encrypted-key-text.ts";
import type { JobKey, JobRecord } from "../journal/job-record.ts";

/**
 * The key that this job's output is encrypted with: the one that an earlier run took for it, or a new one from the pool.
 * It is sealed in the journal before it is used, since a key that is stored on chain and then lost makes the output unreadable.
 */
export async function takeOutputKey(ctx: NodeContext, key: JobKey, signal: AbortSignal): Promise<OutputKey> {
  const earlier = ctx.journal.find(key);
  if (earlier?.sealedOutputKey && earlier.sealedEncryptedKey) return unsealOutputKey(ctx, earlier);
  const outputKey = await ctx.keyPool.take(signal);
  const text = new TextEncoder().encode(serialiseEncryptedKey(outputKey.encrypted));
  const [sealedOutputKey, sealedEncryptedKey] = await Promise.all([
    ctx.sealer.seal(sealId(key, "key"), outputKey.key),
    ctx.sealer.seal(sealId(key, "ciphertext"), text),
  ]);
  ctx.journal.update(key, { sealedOutputKey, sealedEncryptedKey }, { durable: true });
  return outputKey;
}

/** The output key of a job that was interrupted. @throws BlfError `SEALED_DATA_INVALID` */
export async function unsealOutputKey(ctx: NodeContext, record: JobRecord): Promise<OutputKey> {
  if (!record.sealedOutputKey || !record.sealedEncryptedKey)
    throw new BlfError({
      code: "JOURNAL_OUTPUT_KEY_MISSING",
      message: `The journal has no output key of job ${record.taskId}`,
      hint: "The job is given up. Restore the journal if it was replaced.",
    });
  const [key, text] = await Promise.all([
    ctx.sealer.open(sealId(record, "key"), record.sealedOutputKey),
    ctx.sealer.open(sealId(record, "ciphertext"), record.sealedEncryptedKey),
  ]);
  return { key, encrypted: parseEncryptedKey(new TextDecoder().decode(text)) };
}

/**
 * Stores the output key on chain for the requester alone (PROTOCOL.md 2.4). It does not need the output, so it runs beside
 * the model; the same job never stores twice, whatever happens in between.
 */
export async function storeOutputKey(
  ctx: NodeContext,
  record: JobRecord,
  outputKey: OutputKey,
  signal: AbortSignal,
): Promise<void> {
  const store = ctx.config.prompt_key_store_address;
  if (store === "") throw keyStoreMissing();
  const jobId = outputKeyJobId(record.taskId);
  const parameters = { store, jobId, key: outputKey.encrypted, allowed: [record.userAddress] };
  record.outputKeyTx = await storeKey(ctx.sender, parameters, signal);
  ctx.journal.update(record, { outputKeyTx: record.outputKeyTx });
}

function sealId(key: JobKey, part: string): string {
  return `${key.role}:${key.taskId}:${part}`;
}

function keyStoreMissing(): BlfError {
  return new BlfError({
    code: "KEY_STORE_NOT_CONFIGURED",
    message: "There is no PromptKeyStore to put the output key into",
    hint: "Set prompt_key_store_address (BLF_PROMPT_KEY_STORE_ADDRESS).",
  });
}
