import * as z from "zod";
import { type Circuits, createCircuits } from "../lib/circuit.ts";
import type { Clock } from "../lib/clock.ts";
import { latestTime, unixSeconds } from "../lib/clock.ts";
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

/** PROTOCOL.md 6. A time that is none says as little as no time. */
const heardSchema = z.array(
  z.object({
    operator_address: z.string(),
    metrics: z
      .object({
        last_heartbeat: z
          .union([z.number(), z.iso.datetime({ offset: true, local: true }).transform(secondsOf)])
          .optional()
          .catch(undefined)
          .transform((time) => (time !== undefined && time > 0 && time <= latestTime ? time : undefined)),
      })
      .optional()
      .catch(undefined),
  }),
);

/** A time without a zone is meant in UTC. */
function secondsOf(text: string): number {
  return Date.parse(/(Z|[+-]\d\d:\d\d)$/.test(text) ? text : `${text}Z`) / 1000;
}

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
  /**
   * When the coordinator last heard of this node's address, by a heartbeat or an attestation from wherever (PROTOCOL.md 6), in Unix seconds by
   * the coordinator's clock; undefined when it does not list the address as active.
   */
  lastHeard(signal?: AbortSignal): Promise<number | undefined>;
  /** How far this machine's clock is ahead of the coordinator's, in milliseconds; undefined before its first answer. */
  clockOffset(): number | undefined;
};

/** Trials come so often that a coordinator that is back is noticed long before any job's deadline. */
const patience = { threshold: 5, initialMs: 1000, maxMs: 5000, maxRetryAfterMs: 10_000 };

/** A heartbeat that got stuck is sent once more within the same minute, in milliseconds. */
const heartbeatTimeoutMs = 15_000;

export type IclClientOptions = {
  baseUrl: string;
  signer: RequestSigner;
  fetch: Fetch;
  /** Sends heartbeats; should share no connections with anything else. `fetch` by default. */
  heartbeatFetch?: Fetch;
  circuits?: Circuits;
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
  const common = {
    ...options,
    offset,
    service: iclService,
    headers: (body: string) => authenticationHeaders(signer, clock, body),
    circuit: (options.circuits ?? createCircuits({ clock })).of("icl", patience),
  };
  const service = createJsonService(common);
  const heart = createJsonService({
    ...common,
    fetch: options.heartbeatFetch ?? options.fetch,
    timeoutMs: heartbeatTimeoutMs,
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
      await heart.post("/internal/heartbeat", z.unknown(), { body, ...with_(signal) });
    },
    assignments: async (signal) => {
      const path = `/internal/assignments/${signer.address}`;
      const { assignments } = await service.get(path, assignmentsSchema, { canWait: true, ...with_(signal) });
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
    jobStatus: (jobId, signal) =>
      service.get(`/internal/jobs/${jobId}/status`, jobStatusSchema, { canWait: true, ...with_(signal) }),
    listsThisNode: async (signal) => {
      const schema = z.array(z.object({ operator_address: z.string() }));
      const nodes = await service.get("/v1/nodes/active", schema, with_(signal));
      const own = signer.address.toLowerCase();
      return nodes.some((node) => node.operator_address.toLowerCase() === own);
    },
    lastHeard: async (signal) => {
      const nodes = await service.get("/v1/nodes/active", heardSchema, with_(signal));
      const own = signer.address.toLowerCase();
      return nodes.find((node) => node.operator_address.toLowerCase() === own)?.metrics?.last_heartbeat;
    },
    clockOffset: offset.ms,
  };
}
