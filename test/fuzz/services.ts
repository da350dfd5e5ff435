import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc, { type Arbitrary } from "fast-check";
import { createChain } from "../../src/chain/clients.ts";
import { isRegistered, readLastHeartbeat } from "../../src/chain/node-registry.ts";
import { readKeyHandles } from "../../src/chain/prompt-key-store.ts";
import { readChainTime, readStake } from "../../src/chain/staking.ts";
import { systemRandom } from "../../src/crypto/random.ts";
import { createEarningsClient, type EarningsClient } from "../../src/icl/earnings.ts";
import { createRequesterClient, type RequesterClient } from "../../src/icl/requester.ts";
import { createGeminiBackend } from "../../src/inference/gemini.ts";
import { createGroqBackend } from "../../src/inference/groq.ts";
import type { ProbedBackend } from "../../src/inference/http/probed-backend.ts";
import { readManifest } from "../../src/inference/pull/manifest.ts";
import { describeRemote } from "../../src/inference/pull/remote.ts";
import { defaultModelId, parseSource, resolveSource } from "../../src/inference/pull/source.ts";
import { createTransport } from "../../src/inference/pull/transport.ts";
import { createVllmBackend } from "../../src/inference/vllm.ts";
import { createUploader } from "../../src/ipfs/upload.ts";
import { BlfError } from "../../src/lib/errors.ts";
import type { Fetch } from "../../src/lib/http.ts";
import { Secret } from "../../src/lib/secret.ts";
import { silentLog } from "../ipfs/support.ts";
import { jumpingClock } from "../lib/jumping-clock.ts";
import { hostileText, mutatedJson } from "./mutate.ts";
import { type Target, target } from "./target.ts";

const url = "http://127.0.0.1:1";
const address = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
const cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
const hash = "ab".repeat(32);
const never = new AbortController().signal;

type Reply = { body: string; status: number; headers: [string, string][] };

const status = fc.constantFrom(200, 200, 200, 200, 206, 302, 400, 401, 404, 409, 429, 500, 503);
const headers = fc.array(
  fc.tuple(
    fc.constantFrom(
      "retry-after",
      "content-length",
      "content-range",
      "location",
      "x-linked-etag",
      "etag",
      "repr-digest",
    ),
    // Nothing else can stand in a header.
    fc.oneof(hostileText, fc.constant("bytes 0-0/5"), fc.constant(`${url}/other`)).map((text) =>
      text
        .replace(/[^\x21-\x7e ]/g, "")
        .trim()
        .slice(0, 2000),
    ),
  ),
  { maxLength: 2 },
);

/** What a service may say in place of one of these. */
const replyLike = (...samples: unknown[]): Arbitrary<Reply> =>
  fc.record({ body: mutatedJson(samples), status, headers });

/** A service that says one thing to everything. */
const saying =
  ({ body, status, headers }: Reply): Fetch =>
  async () =>
    new Response(body, { status, headers });

/** One of several calls, with a reply like the one that it is content with. */
function callsTarget<T>(calls: [call: (client: T) => Promise<unknown>, reply: unknown][], client: (reply: Reply) => T) {
  const input = fc.nat(calls.length - 1).chain((index) => fc.tuple(fc.constant(index), replyLike(calls[index]![1])));
  return target({ input, read: ([index, reply]: [number, Reply]) => calls[index]![0](client(reply)) });
}

/** Targets that are services on the network: whatever they say is read or refused. */
export function serviceTargets(directory: string): Record<string, Target> {
  return {
    requester: requesterTarget(),
    earnings: earningsTarget(),
    upload: uploadTarget(),
    hub: hubTarget(directory),
    vllm: modelTarget(completion, (fetch) =>
      createVllmBackend({
        ...common(fetch),
        models: { m: "m" },
        maxTokens: 8,
        maxConcurrent: 1,
        sendTopK: true,
        random: systemRandom,
      }),
    ),
    groq: modelTarget(chatCompletion, (fetch) => createGroqBackend({ ...common(fetch), models: ["groq:m"] })),
    gemini: modelTarget(candidates, (fetch) => createGeminiBackend({ ...common(fetch), models: ["gemini:m"] })),
    rpc: rpcTarget(),
  };
}

function requesterTarget(): Target {
  const input = { ctHash: 1n, securityZone: 0, utype: 6, signature: "0xaa" } as const;
  const submission = {
    userAddress: address,
    taskId: `0x${hash}`,
    promptCid: cid,
    modelId: "m",
    encryptedKey: { high: input, low: input },
    promptKeyStoreTx: "0x22",
    promptKeyStoreAddress: address,
    promptLength: 5,
    verifierCount: 2,
    currency: "blind",
  } as const;
  const job = {
    job_id: "1",
    status: "COMPLETED",
    leader_address: address,
    verifier_addresses: [address],
    result_hash: hash,
    output_cid: cid,
    encrypted_output_key_high: 1,
  };
  const quorum = { verifier_addresses: [address], confirmations: 2, confidence: 100 };
  const calls: [(client: RequesterClient) => Promise<unknown>, unknown][] = [
    [(client) => client.quorumPreview("m", 2), { leader: address, verifiers: [address] }],
    [(client) => client.uploadPrompt(Uint8Array.of(1)), { cid }],
    [(client) => client.submit(submission), { job_id: "1" }],
    [(client) => client.job("1"), job],
    [
      (client) => client.inference(`0x${hash}`),
      { status: "committed", output_cid: cid, commitment_hash: hash, quorum },
    ],
    [(client) => client.balance(address), { balance_cusdc: "1.5", balance_blind: "0" }],
    [(client) => client.deposit(`0x${hash}`), { status: "credited" }],
  ];
  const client = (reply: Reply) =>
    createRequesterClient({ iclUrl: url, paymentUrl: url, fetch: saying(reply), clock: jumpingClock() });
  return callsTarget(calls, client);
}

function earningsTarget(): Target {
  const job = {
    job_id: "1",
    role: "leader",
    status: "COMPLETED",
    amount_blind_earned: 0.048,
    model_id: "m",
    completed_at: "2026-01-01T00:00:00",
  };
  return callsTarget<EarningsClient>(
    [
      [(client) => client.jobs(address, 10), { jobs: [job, job] }],
      [(client) => client.earnings(address), { total_blind_earned: "1e-3", jobs_count: 3 }],
      [(client) => client.ids("1"), { job_id: "1", task_id: `0x${hash}` }],
    ],
    (reply) => createEarningsClient({ baseUrl: url, fetch: saying(reply) }),
  );
}

/** No CID is taken that does not belong to the bytes. */
function uploadTarget(): Target {
  const kinds = ["pinata", "kubo"] as const;
  const input = fc.tuple(fc.constantFrom(...kinds), replyLike({ IpfsHash: cid }, { data: { cid } }, { Hash: cid }));
  const read = async ([kind, reply]: [(typeof kinds)[number], Reply]) => {
    const jwt = new Secret("jwt");
    const uploader = createUploader({ kind, url, jwt, fetch: saying(reply), clock: jumpingClock() });
    await uploader.upload(new TextEncoder().encode("other bytes than those of the CID"), "name");
    throw new Error("a wrong CID was taken");
  };
  return target({ input, read });
}

function hubTarget(directory: string): Target {
  const listing = { siblings: [{ rfilename: "a.gguf" }, { rfilename: "a-00001-of-00002.gguf" }] };
  const manifest = { size: 5, sha256: hash, chunk_size: 65_536, chunks: [hash] };
  const source = fc.oneof(
    hostileText,
    hostileText.map((text) => `https://127.0.0.1/${text}.gguf`),
    fc.constantFrom("owner/repo", "owner/repo:a.gguf", "https://127.0.0.1/%zz.gguf", "https://127.0.0.1/%00%1b.gguf"),
  );
  const path = join(directory, "manifest.json");
  const read = async ([text, reply]: [string, Reply]) => {
    const clock = jumpingClock();
    const transport = createTransport({ fetch: saying(reply), clock: { ...clock, sleep: sleepForEver }, hubUrl: url });
    writeFileSync(path, reply.body);
    const options = { hubUrl: url, transport, clock, signal: never };
    const attempts = [
      async () => defaultModelId(await resolveSource(parseSource(text), options)),
      async () => readManifest(path, transport, never),
      async () => describeRemote(`${url}/a.gguf`, options),
    ];
    await allTyped(attempts);
  };
  return target({ input: fc.tuple(source, replyLike(listing, manifest)), read, share: 0.3 });
}

/** A sleep that is never over: a silent server is not what is tried here. */
const sleepForEver = (_ms: number, signal?: AbortSignal) =>
  new Promise<void>((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason), { once: true }));

/** Runs all, and throws the first error that is not one of ours, else the first. */
async function allTyped(actions: (() => Promise<unknown>)[]): Promise<void> {
  const results = await Promise.allSettled(actions.map((action) => action()));
  const errors = results.flatMap((result) => (result.status === "rejected" ? [result.reason as unknown] : []));
  const first = errors.find((error) => !(error instanceof BlfError)) ?? errors[0];
  if (first !== undefined) throw first;
}

const usage = { prompt_tokens: 3, completion_tokens: 2 };
const completion = { model: "m", choices: [{ text: "a", finish_reason: "stop" }], usage };
const chatCompletion = { model: "m", choices: [{ message: { content: "a" }, finish_reason: "stop" }], usage };
const candidates = {
  candidates: [{ content: { parts: [{ text: "a" }] }, finishReason: "STOP" }],
  modelVersion: "m",
  usageMetadata: { promptTokenCount: 3, candidatesTokenCount: 2 },
};

function common(fetch: Fetch) {
  const key = new Secret("key");
  return { baseUrl: url, apiKey: key, fetch, clock: quickClock(), log: silentLog, timeoutMs: 1000 };
}

/**
 * A clock on which the waits of a call are over at once, and its limits never come. Limits are told apart by their signal, which is one of their
 * own, while the waits have that of the call.
 */
function quickClock() {
  const clock = jumpingClock();
  const sleep = (ms: number, signal?: AbortSignal) => (signal === never ? clock.sleep(ms) : sleepForEver(ms, signal));
  return { ...clock, sleep };
}

function modelTarget(sample: unknown, create: (fetch: Fetch) => ProbedBackend): Target {
  const lists = [{ data: [{ id: "m" }] }, { name: "models/m" }, { error: { message: "no", code: 400 } }];
  const read = async (reply: Reply) => {
    const backend = create(saying(reply));
    const [modelId] = backend.models();
    await allTyped([
      () => backend.generate({ modelId: modelId!, prompt: "p" }, { signal: never }),
      () => backend.warm(modelId!, never),
    ]);
  };
  return target({ input: replyLike(sample, sample, ...lists), read, share: 0.5 });
}

/** An RPC that lies about everything. */
function rpcTarget(): Target {
  const word = fc.oneof(
    fc.constantFrom(
      "0".repeat(64),
      "f".repeat(64),
      `${"0".repeat(63)}1`,
      `${"0".repeat(62)}20`,
      `${"0".repeat(48)}${"f".repeat(16)}`,
    ),
    fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }).map((value) => value.toString(16).padStart(64, "0")),
  );
  const data = fc.array(word, { maxLength: 14 }).map((words) => JSON.stringify(`0x${words.join("")}`));
  const block = { number: "0x1", timestamp: "0x65000000", hash: `0x${hash}`, baseFeePerGas: "0x1", transactions: [] };
  const input = fc.oneof(data, data, mutatedJson([block, "0x7a69"]));
  const read = async (result: string) => {
    const answer = (id: unknown) => `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${result}}`;
    const fetch = async (_: unknown, init?: RequestInit) => {
      const asked = JSON.parse(String(init?.body)) as { id: unknown } | { id: unknown }[];
      return new Response(Array.isArray(asked) ? `[${asked.map(({ id }) => answer(id)).join(",")}]` : answer(asked.id));
    };
    await withFetch(fetch as typeof globalThis.fetch, () => {
      const chain = createChain({ rpcUrl: url, chainId: 31_337, timeoutMs: 1000 });
      const times = async (time: Promise<number>) => new Date(await time).toISOString();
      return allTyped([
        async () => {
          const { unbondingAvailableAt } = await readStake(chain, { staking: address, blind: address }, address);
          return new Date(unbondingAvailableAt * 1000).toISOString();
        },
        () => isRegistered(chain, address, address),
        () => times(readLastHeartbeat(chain, address, address)),
        () => times(readChainTime(chain).then((seconds) => seconds * 1000)),
        () => readKeyHandles(chain, address, `0x${hash}`),
      ]);
    });
  };
  return target({ input, read, share: 0.3 });
}

async function withFetch<T>(fetch: typeof globalThis.fetch, action: () => Promise<T>): Promise<T> {
  const original = globalThis.fetch;
  globalThis.fetch = fetch;
  try {
    return await action();
  } finally {
    globalThis.fetch = original;
  }
}
