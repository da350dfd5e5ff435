import * as z from "zod";
import type { Clock } from "../lib/clock.ts";
import { unixSeconds } from "../lib/clock.ts";
import type { Fetch } from "../lib/http.ts";
import type { Logger } from "../lib/log.ts";
import { authenticationHeaders, type RequestSigner } from "./auth.ts";
import { createClockOffset } from "./clock-offset.ts";
import { createJsonService } from "./service.ts";
import {
  type Assignment,
  assignmentSchema,
  assignmentsSchema,
  type Certificate,
  type Challenge,
  type Claim,
  certificateSchema,
  challengeSchema,
  claimSchema,
  type JobStatus,
  jobStatusSchema,
  type LeaderResult,
  leaderResultToWire,
  type Submission,
  submissionSchema,
  type Verdict,
} from "./wire.ts";

export const iclService = {
  prefix: "ICL",
  name: "The coordinator (ICL)",
  hint: "Check icl_endpoint (BLF_ICL_ENDPOINT) and the network, and try again.",
};

export type AttestationRequest = {
  backendType: string;
  /** Hex without 0x. */
  quote: string;
  /** Hex without 0x. */
  runtimeHash: string;
  challengeId: string;
  supportedModelIds: string[];
};

export type VerdictSubmission = {
  jobId: string;
  commitment: string;
  verdict: Verdict;
  /** 0 to 100. */
  confidence: number;
};

/** The node's side of the coordinator. Every request is signed (PROTOCOL.md 3 and 4). */
export type IclClient = {
  challenge(signal?: AbortSignal): Promise<Challenge>;
  verifyAttestation(request: AttestationRequest, signal?: AbortSignal): Promise<Certificate>;
  heartbeat(signal?: AbortSignal): Promise<void>;
  assignments(signal?: AbortSignal): Promise<Assignment[]>;
  claim(jobId: string, signal?: AbortSignal): Promise<Claim>;
  submitResult(result: LeaderResult, signal?: AbortSignal): Promise<Submission>;
  submitVerdict(submission: VerdictSubmission, signal?: AbortSignal): Promise<Submission>;
  jobStatus(jobId: string, signal?: AbortSignal): Promise<JobStatus>;
  /** Whether the coordinator lists this node among the active ones. The original never answers 404, so absence is the sign. */
  listsThisNode(signal?: AbortSignal): Promise<boolean>;
  /** How far this machine's clock is ahead of the coordinator's, in milliseconds; undefined before its first answer. */
  clockOffset(): number | undefined;
};

export type IclClientOptions = {
  baseUrl: string;
  signer: RequestSigner;
  fetch: Fetch;
  clock: Clock;
  /** Measures timeouts; the system's clock by default. */
  timer?: Clock;
  log: Logger;
};

/**
 * @throws BlfError `ICL_*`; `ICL_UNKNOWN` (401 or 404) means that the coordinator does not know this node or this job.
 */
export function createIclClient(options: IclClientOptions): IclClient {
  const { signer, clock } = options;
  const offset = createClockOffset(clock);
  const service = createJsonService({
    ...options,
    offset,
    service: iclService,
    headers: (body) => authenticationHeaders(signer, clock, body),
  });
  const with_ = (signal?: AbortSignal) => (signal ? { signal } : {});
  const post = <S extends z.ZodType>(path: string, schema: S, body: unknown, signal?: AbortSignal) =>
    service.post(path, schema, { body, ...with_(signal) });
  return {
    challenge: (signal) => service.get(`/internal/challenge/${signer.address}`, challengeSchema, with_(signal)),
    verifyAttestation: ({ supportedModelIds, ...request }, signal) =>
      post(
        "/internal/attestation/verify",
        certificateSchema,
        {
          nodeAddress: signer.address,
          ...request,
          ...(supportedModelIds.length > 0 ? { supportedModelIds } : {}),
        },
        signal,
      ),
    heartbeat: async (signal) => {
      const body = { nodeAddress: signer.address, timestamp: String(unixSeconds(clock)) };
      await post("/internal/heartbeat", z.unknown(), body, signal);
    },
    assignments: async (signal) => {
      const path = `/internal/assignments/${signer.address}`;
      const { assignments } = await service.get(path, assignmentsSchema, with_(signal));
      return assignments.flatMap((item) => {
        const result = assignmentSchema.safeParse(item);
        if (result.success) return [result.data];
        const field = result.error.issues[0]!.path.join(".");
        options.log.warn("an assignment cannot be read and is left out", { reason: `field "${field}"` });
        return [];
      });
    },
    claim: (jobId, signal) => post("/internal/task/claim", claimSchema, { jobId, nodeAddress: signer.address }, signal),
    submitResult: (result, signal) =>
      post("/internal/task/result", submissionSchema, leaderResultToWire(result), signal),
    submitVerdict: ({ jobId, commitment, verdict, confidence }, signal) =>
      post(
        "/internal/task/verify",
        submissionSchema,
        { jobId, verifier_address: signer.address, commitment_hash: commitment, verdict, confidence },
        signal,
      ),
    jobStatus: (jobId, signal) => service.get(`/internal/jobs/${jobId}/status`, jobStatusSchema, with_(signal)),
    listsThisNode: async (signal) => {
      const schema = z.array(z.object({ operator_address: z.string() }));
      const nodes = await service.get("/v1/nodes/active", schema, with_(signal));
      const own = signer.address.toLowerCase();
      return nodes.some((node) => node.operator_address.toLowerCase() === own);
    },
    clockOffset: offset.ms,
  };
}
