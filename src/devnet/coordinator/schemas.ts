import { type Address, getAddress, isAddress } from "viem";
import * as z from "zod";

/** An address in any case; comes out checksummed. */
const address = z
  .string()
  .refine((value) => isAddress(value, { strict: false }), "must be an address")
  .transform((value): Address => getAddress(value));

/** bytes32 as hex, with or without `0x`, kept exactly as it is. */
const taskId = z.string().regex(/^(0x)?[0-9a-fA-F]{64}$/, "must be 32 bytes of hex");
const transactionHash = z
  .string()
  .transform((value) => value.replace(/^(0x)+/i, "0x").toLowerCase())
  .pipe(z.string().regex(/^0x[0-9a-f]{64}$/, "must be a transaction hash"));
const cid = z.string().regex(/^[A-Za-z0-9]{1,256}$/, "must be a CID");
const modelId = z.string().min(1).max(200);
const integerText = z
  .union([z.string(), z.bigint(), z.int()])
  .transform(String)
  .pipe(z.string().regex(/^(\d{1,78}|0x[0-9a-fA-F]{1,64})$/, "must be an integer"));
const metadata = z
  .record(z.string(), z.unknown())
  .nullish()
  .transform((value) => value ?? {});
const optional = <S extends z.ZodType>(schema: S) => schema.nullish().transform((value) => value ?? undefined);

/** PROTOCOL.md 4.2. `tier` is not read: a node does not choose its own. */
export const attestationSchema = z.object({
  nodeAddress: z.string(),
  backendType: z.string().default("mock"),
  quote: z.string().max(65_536).default(""),
  challengeId: z.string().max(200).default(""),
  supportedModelIds: optional(z.array(modelId).max(500)),
  supported_model_ids: optional(z.array(modelId).max(500)),
});

/** PROTOCOL.md 4.4. */
export const claimSchema = z.object({
  jobId: z.string().optional(),
  job_id: z.string().optional(),
  nodeAddress: z.string().optional(),
});

/** PROTOCOL.md 4.5; only `jobId` is camel case, push nodes send `job_id`. */
export const resultSchema = z.object({
  output_cid: cid,
  commitment_hash: z.string().min(1).max(200),
  encrypted_output_key_high: optional(integerText),
  encrypted_output_key_low: optional(integerText),
  output_key_store_tx: optional(transactionHash),
  verdict: optional(z.string()),
  confidence: optional(z.int().min(0).max(100)),
});

/** PROTOCOL.md 4.6; a missing confidence is full confidence. */
export const verdictSchema = z.object({
  verifier_address: z.string(),
  commitment_hash: z.string().min(1).max(200),
  verdict: z.string(),
  confidence: z
    .int()
    .min(0)
    .max(100)
    .nullish()
    .transform((value) => value ?? 100),
});

/** PROTOCOL.md 4.9. */
export const heartbeatSchema = z.object({ nodeAddress: z.string() });

const flag = z.enum(["true", "false", "1", "0", "True", "False"]).transform((value) => /^(true|1)$/i.test(value));
const count = (minimum: number, maximum: number) => z.coerce.number().int().min(minimum).max(maximum);

/** PROTOCOL.md 5.2. */
export const previewSchema = z.object({
  model_id: modelId,
  min_tier: count(0, 2).default(0),
  verifier_count: count(1, 5).default(2),
  zdr_required: flag.default(false),
});

/** PROTOCOL.md 6. */
export const activeNodesSchema = z.object({ min_tier: count(0, 2).default(0), zdr_required: flag.default(false) });

/** PROTOCOL.md 5.3; text mode. */
export const directRequestSchema = z.object({
  developer_address: address,
  task_id: optional(taskId),
  mode: optional(z.string()),
  model_id: optional(modelId),
  text_request: optional(
    z.object({
      prompt_cid: cid,
      encrypted_prompt_key: z.object({ high: integerText, low: integerText }),
      model_id: optional(modelId),
    }),
  ),
  leader_address: optional(address),
  verifier_addresses: z
    .array(address)
    .max(5)
    .nullish()
    .transform((value) => value ?? []),
  min_tier: z.int().min(0).max(2).default(0),
  zdr_required: z.boolean().default(false),
  verifier_count: z.int().min(1).max(5).default(2),
  metadata,
});

/** PROTOCOL.md 5.5. */
export const confirmStoreKeySchema = z.object({ prompt_key_store_tx: transactionHash });

/** PROTOCOL.md 5.14. */
export const feedbackSchema = z.object({
  developer_address: address,
  rating: z.enum(["up", "down"]),
  notes: optional(z.string().max(4000)),
});

/** PROTOCOL.md 8. `permits` are not needed: the key store's list of allowed nodes is what lets a quorum decrypt. */
export const submitSchema = z.object({
  user_address: address,
  prompt_cid: cid,
  model_id: modelId,
  encrypted_prompt_key_high: integerText,
  encrypted_prompt_key_low: integerText,
  payment_mode: z.enum(["credits", "escrow"]).default("credits"),
  payment_currency: z.enum(["cusdc", "blind"]).default("cusdc"),
  insurance_opt_in: z.boolean().default(false),
  task_id: taskId,
  min_tier: z.int().min(0).max(2).default(0),
  zdr_required: z.boolean().default(false),
  verifier_count: z.int().min(1).max(5).default(2),
  metadata,
});

export const depositSchema = z.object({ tx_hash: transactionHash });
export const purchaseSchema = z.object({ package_id: z.string(), tx_hash: transactionHash });

/** PROTOCOL.md 8, what a service may say about a job. */
export const completionSchema = z.object({
  status: z.enum(["success", "timeout", "rejected"]),
  leader_address: optional(address),
  result_hash: optional(z.string()),
  error_reason: optional(z.string().max(500)),
});

export const jobsQuerySchema = z.object({ limit: count(1, 100).default(20) });

/** `metadata.prompt_key_store_tx`, if it is one. */
export const keyStoreTxSchema = z.object({ prompt_key_store_tx: optional(transactionHash) });
