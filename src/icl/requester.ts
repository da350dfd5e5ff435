import type { Address } from "viem";
import * as z from "zod";
import type { EncryptedKey } from "../cofhe/cofhe.ts";
import type { Clock } from "../lib/clock.ts";
import { BlfError } from "../lib/errors.ts";
import type { Fetch } from "../lib/http.ts";
import { iclService } from "./client.ts";
import { createJsonService } from "./service.ts";
import { addressSchema, cidSchema, encryptedInputToWire, uint256 } from "./wire.ts";

const paymentService = {
  prefix: "PAYMENT",
  name: "The payment service",
  hint: "Check payment_service_url and the credits of this address.",
};

const quorumPreviewSchema = z.object({ leader: addressSchema, verifiers: z.array(addressSchema).min(1) });

const jobSchema = z.object({
  job_id: z.string(),
  status: z.enum(["PENDING_PAYMENT", "RUNNING", "COMPLETED", "FAILED", "REFUNDED"]),
  error_reason: z.string().nullish(),
  leader_address: addressSchema.nullish(),
  verifier_addresses: z.array(addressSchema).nullish(),
  result_hash: z.string().nullish(),
  output_cid: cidSchema.nullish(),
  encrypted_output_key_high: uint256.nullish(),
  encrypted_output_key_low: uint256.nullish(),
});

const balanceSchema = z.object({ balance_cusdc: z.string(), balance_blind: z.string() });

const inferenceSchema = z.object({
  status: z.string(),
  output_cid: cidSchema.nullish(),
  commitment_hash: z.string().nullish(),
  quorum: z.object({ verifier_addresses: z.array(z.string()), confirmations: z.int(), confidence: z.int() }).nullish(),
  reject_reason: z.string().nullish(),
});

export type QuorumPreview = z.output<typeof quorumPreviewSchema>;
export type PaymentJob = z.output<typeof jobSchema>;
export type InferenceView = z.output<typeof inferenceSchema>;
export type PaymentCurrency = "blind" | "cusdc";

export type JobSubmission = {
  userAddress: Address;
  taskId: string;
  promptCid: string;
  modelId: string;
  encryptedKey: EncryptedKey;
  promptKeyStoreTx: string;
  promptKeyStoreAddress: Address;
  promptLength: number;
  verifierCount: number;
  currency: PaymentCurrency;
};

/** The requester's side of the coordinator and the payment service (PROTOCOL.md 5, 8 and 9). */
export type RequesterClient = {
  quorumPreview(modelId: string, verifierCount: number, signal?: AbortSignal): Promise<QuorumPreview>;
  uploadPrompt(blob: Uint8Array, signal?: AbortSignal): Promise<string>;
  submit(job: JobSubmission, signal?: AbortSignal): Promise<{ job_id: string }>;
  job(jobId: string, signal?: AbortSignal): Promise<PaymentJob>;
  inference(taskId: string, signal?: AbortSignal): Promise<InferenceView>;
  /** Credits as decimal strings in units of the currency. */
  balance(address: Address, signal?: AbortSignal): Promise<{ balance_cusdc: string; balance_blind: string }>;
  /** Credits the sender of a BLIND transfer to the treasury. One that was credited before is no error. */
  deposit(txHash: string, signal?: AbortSignal): Promise<void>;
};

export type RequesterOptions = { iclUrl: string; paymentUrl: string; fetch: Fetch; clock: Clock };

export function createRequesterClient(options: RequesterOptions): RequesterClient {
  const icl = createJsonService({ ...options, baseUrl: options.iclUrl, service: iclService });
  const payment = createJsonService({ ...options, baseUrl: options.paymentUrl, service: paymentService });
  const with_ = (signal?: AbortSignal) => (signal ? { signal } : {});
  return {
    quorumPreview: (modelId, verifierCount, signal) => {
      const query = new URLSearchParams({ model_id: modelId, min_tier: "0", verifier_count: String(verifierCount) });
      return icl.get(`/v1/inference/quorum-preview?${query}&zdr_required=false`, quorumPreviewSchema, with_(signal));
    },
    uploadPrompt: async (blob, signal) => {
      const form = new FormData();
      form.set("file", new Blob([blob as Uint8Array<ArrayBuffer>]), "blindference-text-prompt.bin");
      const answer = await icl.post("/v1/inference/upload-prompt", z.object({ cid: cidSchema }), {
        form,
        ...with_(signal),
      });
      return answer.cid;
    },
    submit: (job, signal) =>
      payment.post("/v1/jobs/submit", z.object({ job_id: z.string().min(1).max(200) }), {
        body: submissionToWire(job),
        ...with_(signal),
      }),
    job: (jobId, signal) => payment.get(`/v1/jobs/${encodeURIComponent(jobId)}`, jobSchema, with_(signal)),
    inference: (taskId, signal) => icl.get(`/v1/inference/task/${taskId}`, inferenceSchema, with_(signal)),
    balance: (address, signal) => payment.get(`/v1/balance/${address}`, balanceSchema, with_(signal)),
    deposit: async (txHash, signal) => {
      const call = { body: { tx_hash: txHash }, ...with_(signal) };
      await payment.post("/v1/deposit", z.unknown(), call).catch((error: unknown) => {
        if (!isConflict(error)) throw error;
      });
    },
  };
}

/** A service that remembers transactions answers 409 to one whose credit was given, but whose answer got lost. */
function isConflict(error: unknown): boolean {
  return error instanceof BlfError && error.code === "PAYMENT_REJECTED" && error.message.includes("(HTTP 409)");
}

/** PROTOCOL.md 8 and Appendix A, step 6. */
function submissionToWire(job: JobSubmission) {
  const [provider, model] = splitModelId(job.modelId);
  return {
    user_address: job.userAddress,
    prompt_cid: job.promptCid,
    model_id: job.modelId,
    encrypted_prompt_key_high: job.encryptedKey.high.ctHash.toString(),
    encrypted_prompt_key_low: job.encryptedKey.low.ctHash.toString(),
    payment_mode: "credits",
    payment_currency: job.currency,
    insurance_opt_in: false,
    escrow_id: null,
    task_id: job.taskId,
    min_tier: 0,
    zdr_required: false,
    verifier_count: job.verifierCount,
    permits: [],
    metadata: {
      cofhe_prompt_key_inputs: {
        high: encryptedInputToWire(job.encryptedKey.high),
        low: encryptedInputToWire(job.encryptedKey.low),
      },
      prompt_key_store_tx: job.promptKeyStoreTx,
      prompt_key_store_status: "stored_by_user",
      prompt_key_store_address: job.promptKeyStoreAddress,
      provider,
      model,
      prompt_length: job.promptLength,
      is_agent_job: false,
    },
  };
}

function splitModelId(modelId: string): [string, string] {
  const colon = modelId.indexOf(":");
  return colon < 0 ? ["local", modelId] : [modelId.slice(0, colon), modelId.slice(colon + 1)];
}
