import { type Address, getAddress, isAddress } from "viem";
import * as z from "zod";
import type { EncryptedInput, EncryptedKey } from "../cofhe/cofhe.ts";
import { latestTime } from "../lib/clock.ts";

const uint256Max = 2n ** 256n - 1n;

/** An integer that may come as a JSON integer, a decimal string or 0x-hex. */
export const uint256 = z
  .union([z.bigint(), z.int(), z.string().regex(/^(\d{1,78}|0x[0-9a-fA-F]{1,64})$/)])
  .transform((value) => BigInt(value))
  .refine((value) => value >= 0n && value <= uint256Max, "must fit in 256 bits");

/** An address in any case; comes out checksummed, since the network compares it as text (PROTOCOL.md 1). */
export const addressSchema = z
  .string()
  .refine((value) => isAddress(value, { strict: false }), "must be an address")
  .transform((value): Address => getAddress(value));

/** task_id and request_id: kept exactly as received (PROTOCOL.md 1), but never anything that could be a path or a line. */
export const jobIdSchema = z.string().regex(/^[A-Za-z0-9_-]{1,128}$/);

export const cidSchema = z.string().regex(/^[A-Za-z0-9]{1,256}$/);

/** Unix seconds of a date that can be written down. */
const unixTime = z.int().min(0).max(latestTime);

/** PROTOCOL.md 4.1. */
export const challengeSchema = z.object({
  challengeId: z.string().min(1).max(200),
  nonce: z.string().regex(/^(0x)?([0-9a-fA-F]{2}){1,128}$/),
  expiresAt: unixTime,
});

/** PROTOCOL.md 4.2. */
export const certificateSchema = z.object({
  certHash: z.string().regex(/^0x[0-9a-fA-F]{1,64}$/),
  expiry: unixTime,
  tier: z.int().min(0).max(2),
});

/** PROTOCOL.md 4.3; only what the node uses. `deadline` is cosmetic there and is not read. */
export const assignmentSchema = z.object({
  jobId: jobIdSchema,
  role: z.enum(["leader", "verifier"]),
  modelId: z.string().min(1).max(200),
  promptCid: cidSchema,
  userAddress: addressSchema,
});

export const assignmentsSchema = z.object({ assignments: z.array(z.unknown()).max(1000) });

/** PROTOCOL.md 4.4. */
export const claimSchema = z.object({
  kpHighHandle: uint256,
  kpLowHandle: uint256,
  claimDeadline: unixTime,
});

/** PROTOCOL.md 4.5 and 4.6: what both submissions answer. */
export const submissionSchema = z.object({ status: z.string().max(100), finalized: z.boolean().default(false) });

/** PROTOCOL.md 4.7. */
export const jobStatusSchema = z.object({
  status: z.string().max(50),
  outputCid: cidSchema.nullish().transform((value) => value ?? undefined),
  /** As it came: coordinators compare commitments as raw text (PROTOCOL.md 2.6), so one in another form is another one. */
  leaderCommitment: z
    .string()
    .nullish()
    .catch(undefined)
    .transform((value) => value || undefined),
});

export type Challenge = z.output<typeof challengeSchema>;
export type Certificate = z.output<typeof certificateSchema>;
export type Assignment = z.output<typeof assignmentSchema>;
export type Claim = z.output<typeof claimSchema>;
export type Submission = z.output<typeof submissionSchema>;
export type JobStatus = z.output<typeof jobStatusSchema>;
export type Role = Assignment["role"];
export type Verdict = "CONFIRM" | "REJECT";

/** What a leader submits. */
export type LeaderResult = {
  jobId: string;
  outputCid: string;
  commitment: string;
  encryptedKey: EncryptedKey;
  outputKeyStoreTx: string;
};

/** PROTOCOL.md 2.3: ctHash as a decimal string. */
export function encryptedInputToWire(input: EncryptedInput) {
  return {
    ctHash: input.ctHash.toString(),
    securityZone: input.securityZone,
    utype: input.utype,
    signature: input.signature,
  };
}

/** PROTOCOL.md 4.5; `jobId` in camel case and the rest in snake case, as the network wants it. */
export function leaderResultToWire(result: LeaderResult) {
  return {
    jobId: result.jobId,
    output_cid: result.outputCid,
    commitment_hash: result.commitment,
    encrypted_output_key_high: result.encryptedKey.high.ctHash.toString(),
    encrypted_output_key_low: result.encryptedKey.low.ctHash.toString(),
    encrypted_output_key_inputs: {
      high: encryptedInputToWire(result.encryptedKey.high),
      low: encryptedInputToWire(result.encryptedKey.low),
    },
    output_key_store_tx: result.outputKeyStoreTx,
  };
}
