import { privateKeyToAccount } from "viem/accounts";
import { createIclClient, type IclClient } from "../../src/icl/client.ts";
import type { Fetch } from "../../src/lib/http.ts";
import { createLogger } from "../../src/lib/log.ts";
import { serve, silentLog } from "../ipfs/support.ts";
import { jumpingClock } from "../lib/jumping-clock.ts";

export const account = privateKeyToAccount("0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d");
export const jobId = `0x${"11".repeat(32)}`;
export const max = 2n ** 256n - 1n;

export function client(baseUrl: string, options: { fetch?: Fetch; lines?: string[] } = {}) {
  const clock = jumpingClock();
  const { lines } = options;
  const log = lines
    ? createLogger({ level: "info", format: "text", clock, write: (line) => lines.push(line) })
    : silentLog;
  const icl = createIclClient({ baseUrl, signer: account, fetch: options.fetch ?? fetch, clock, log });
  return { icl, clock };
}

/** A client whose coordinator gives one answer to everything. */
export async function answered<T>(answer: unknown, action: (icl: IclClient) => Promise<T>, status = 200): Promise<T> {
  const body = typeof answer === "string" ? answer : JSON.stringify(answer);
  using server = serve(() => new Response(body, { status }));
  return await action(client(server.url).icl);
}

export const assignment = {
  jobId,
  role: "leader",
  modelId: "qwen2.5-7b",
  promptCid: "bafkreigh2akiscaildc",
  userAddress: account.address,
};
const encryptedInput = { ctHash: 5n, securityZone: 0, utype: 6, signature: "0xaa" } as const;

/** Every call of the client: what it asks for, and an answer that it is content with. */
export const calls: [
  name: string,
  call: (icl: IclClient) => Promise<unknown>,
  method: string,
  path: string,
  body: unknown,
  answer: unknown,
][] = [
  [
    "challenge",
    (icl) => icl.challenge(),
    "GET",
    `/internal/challenge/${account.address}`,
    "",
    { challengeId: "3f1d", nonce: `0x${"9c".repeat(32)}`, expiresAt: 1750000300 },
  ],
  [
    "verifyAttestation",
    (icl) =>
      icl.verifyAttestation({
        backendType: "mock",
        quote: "e704",
        runtimeHash: "3ec7",
        challengeId: "3f1d",
        supportedModelIds: ["qwen2.5-7b"],
      }),
    "POST",
    "/internal/attestation/verify",
    {
      nodeAddress: account.address,
      backendType: "mock",
      quote: "e704",
      runtimeHash: "3ec7",
      challengeId: "3f1d",
      supportedModelIds: ["qwen2.5-7b"],
    },
    { certHash: `0x${"5b".repeat(16)}`, expiry: 1750086400, tier: 0 },
  ],
  [
    "heartbeat",
    (icl) => icl.heartbeat(),
    "POST",
    "/internal/heartbeat",
    { nodeAddress: account.address, timestamp: "1750000000" },
    { status: "ok" },
  ],
  [
    "assignments",
    (icl) => icl.assignments(),
    "GET",
    `/internal/assignments/${account.address}`,
    "",
    { assignments: [] },
  ],
  [
    "claim",
    (icl) => icl.claim(jobId),
    "POST",
    "/internal/task/claim",
    { jobId, nodeAddress: account.address },
    { kpHighHandle: 1, kpLowHandle: 2, outputKeyGranted: true, claimDeadline: 1750000400 },
  ],
  [
    "submitResult",
    (icl) =>
      icl.submitResult({
        jobId,
        outputCid: "bafyOUT",
        commitment: "26a3",
        encryptedKey: { high: encryptedInput, low: encryptedInput },
        outputKeyStoreTx: "0x22",
      }),
    "POST",
    "/internal/task/result",
    {
      jobId,
      output_cid: "bafyOUT",
      commitment_hash: "26a3",
      encrypted_output_key_high: "5",
      encrypted_output_key_low: "5",
      encrypted_output_key_inputs: {
        high: { ...encryptedInput, ctHash: "5" },
        low: { ...encryptedInput, ctHash: "5" },
      },
      output_key_store_tx: "0x22",
    },
    { status: "leader_result_recorded", finalized: false },
  ],
  [
    "submitVerdict",
    (icl) => icl.submitVerdict({ jobId, commitment: "26a3", verdict: "CONFIRM", confidence: 100 }),
    "POST",
    "/internal/task/verify",
    {
      jobId,
      verifier_address: account.address,
      commitment_hash: "26a3",
      verdict: "CONFIRM",
      confidence: 100,
    },
    { status: "committed", finalized: true },
  ],
  [
    "jobStatus",
    (icl) => icl.jobStatus(jobId),
    "GET",
    `/internal/jobs/${jobId}/status`,
    "",
    { jobId, status: "QUEUED", outputCid: null, leaderCommitment: null, failureReason: null, nodeAssignments: {} },
  ],
  ["listsThisNode", (icl) => icl.listsThisNode(), "GET", "/v1/nodes/active", "", []],
];
