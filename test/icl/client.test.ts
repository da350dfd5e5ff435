import { describe, expect, test } from "bun:test";
import { recoverMessageAddress } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { createIclClient, type IclClient } from "../../src/icl/client.ts";
import type { Fetch } from "../../src/lib/http.ts";
import { createLogger } from "../../src/lib/log.ts";
import { expectCode } from "../crypto/expect-code.ts";
import { endlessBody, serve, silentLog, stalledBody } from "../ipfs/support.ts";
import { jumpingClock } from "../lib/jumping-clock.ts";

const account = privateKeyToAccount("0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d");
const jobId = `0x${"11".repeat(32)}`;
const max = 2n ** 256n - 1n;

function client(baseUrl: string, options: { fetch?: Fetch; lines?: string[] } = {}) {
  const clock = jumpingClock();
  const { lines } = options;
  const log = lines
    ? createLogger({ level: "info", format: "text", clock, write: (line) => lines.push(line) })
    : silentLog;
  const icl = createIclClient({ baseUrl, signer: account, fetch: options.fetch ?? fetch, clock, log });
  return { icl, clock };
}

/** A client whose coordinator gives one answer to everything. */
async function answered<T>(answer: unknown, action: (icl: IclClient) => Promise<T>, status = 200): Promise<T> {
  const body = typeof answer === "string" ? answer : JSON.stringify(answer);
  using server = serve(() => new Response(body, { status }));
  return await action(client(server.url).icl);
}

const assignment = {
  jobId,
  role: "leader",
  modelId: "qwen2.5-7b",
  promptCid: "bafkreigh2akiscaildc",
  userAddress: account.address,
};
const encryptedInput = { ctHash: 5n, securityZone: 0, utype: 6, signature: "0xaa" } as const;

/** Every call of the client: what it asks for, and an answer that it is content with. */
const calls: [name: string, call: (icl: IclClient) => Promise<unknown>, method: string, path: string, body: unknown, answer: unknown][] =
  [
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
    ["assignments", (icl) => icl.assignments(), "GET", `/internal/assignments/${account.address}`, "", { assignments: [] }],
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

describe("requests", () => {
  test.each(calls)("%s asks as PROTOCOL.md 4 says, signed", async (_name, call, method, path, body, answer) => {
    using server = serve(() => Response.json(answer));
    await call(client(server.url).icl);
    expect(server.requests).toHaveLength(1);
    const request = server.requests[0]!;
    expect([request.method, new URL(request.url).pathname]).toEqual([method, path]);
    const text = await request.text();
    expect(text === "" ? "" : JSON.parse(text)).toEqual(body);
    const timestamp = request.headers.get("x-timestamp")!;
    const signature = request.headers.get("x-signature") as `0x${string}`;
    expect(await recoverMessageAddress({ message: text + timestamp, signature })).toBe(account.address);
    expect(request.headers.get("x-node-address")).toBe(account.address);
    expect(request.headers.get("content-type")).toBe("application/json");
  });

  test("no models, no list of models", async () => {
    using server = serve(() => Response.json({ certHash: "0x5b", expiry: 1750086400, tier: 0 }));
    const request = { backendType: "mock", quote: "e704", runtimeHash: "3ec7", challengeId: "3f1d" };
    await client(server.url).icl.verifyAttestation({ ...request, supportedModelIds: [] });
    expect(Object.keys(JSON.parse(await server.requests[0]!.text()) as object)).not.toContain("supportedModelIds");
  });
});

describe("handles of a claim", () => {
  const claim = (high: string) =>
    answered(`{"kpHighHandle":${high},"kpLowHandle":7,"claimDeadline":1750000400}`, (icl) => icl.claim(jobId));

  test.each<[string, bigint]>([
    ["8831", 8831n],
    ['"8831"', 8831n],
    ['"0x227f"', 8831n],
    ["9007199254740993", 9007199254740993n],
    [max.toString(), max],
    [`"${max}"`, max],
    [`"0x${"f".repeat(64)}"`, max],
    ["0", 0n],
  ])("%s", async (text, value) => {
    expect(await claim(text)).toEqual({ kpHighHandle: value, kpLowHandle: 7n, claimDeadline: 1750000400 });
  });

  test.each(["null", (max + 1n).toString(), `"${max + 1n}"`, `"0x1${"0".repeat(64)}"`, "-1", "1.5", "1e80", '""', "[]", "true"])(
    "%s is refused",
    async (text) => {
      const error = await expectCode(() => claim(text), "ICL_UNEXPECTED_ANSWER");
      expect(error.message).toBe(
        'The coordinator (ICL) answered /internal/task/claim with an unexpected value at "kpHighHandle"',
      );
    },
  );
});

describe("assignments", () => {
  test("one that cannot be read is left out, the good ones stay", async () => {
    const lines: string[] = [];
    const list = [
      { ...assignment, jobId: "../../etc/passwd" },
      assignment,
      null,
      "text",
      { ...assignment, role: "boss" },
      { ...assignment, promptCid: "ba\nfk" },
      { ...assignment, userAddress: "0x1" },
      { ...assignment, modelId: 5 },
      {},
      { ...assignment, jobId: "22", role: "verifier", kpHighHandle: "x", kpLowHandle: {} },
    ];
    using server = serve(() => Response.json({ assignments: list }));
    const assignments = await client(server.url, { lines }).icl.assignments();
    expect(assignments).toEqual([assignment, { ...assignment, jobId: "22", role: "verifier" }] as never);
    expect(lines).toHaveLength(8);
    expect(lines.join("\n")).not.toContain("passwd");
  });

  test("a list beyond all measure is refused", async () => {
    const assignments = Array.from({ length: 1001 }, () => assignment);
    await expectCode(() => answered({ assignments }, (icl) => icl.assignments()), "ICL_UNEXPECTED_ANSWER");
  });
});

test("a commitment in capitals is not shown to the verifier", async () => {
  const answer = { status: "QUEUED", outputCid: "bafyOUT", leaderCommitment: "AB".repeat(32) };
  expect(await answered(answer, (icl) => icl.jobStatus(jobId))).toEqual({
    status: "QUEUED",
    outputCid: "bafyOUT",
    leaderCommitment: undefined,
  });
});

test("the node finds itself among the active ones in any case of letters, and misses itself", async () => {
  const nodes = (...addresses: string[]) => addresses.map((operator_address) => ({ operator_address }));
  const lists = (answer: unknown) => answered(answer, (icl) => icl.listsThisNode());
  expect(await lists(nodes("0x1", account.address.toLowerCase()))).toBe(true);
  expect(await lists(nodes("0x1"))).toBe(false);
  expect(await lists([])).toBe(false);
  await expectCode(() => lists({ nodes: [] }), "ICL_UNEXPECTED_ANSWER");
});

describe("a coordinator that lies", () => {
  const withoutHeartbeat = calls.filter(([name]) => name !== "heartbeat").map(([name, call]) => [name, call] as const);

  test.each(withoutHeartbeat)("%s: a wrong type, a missing field, a list, null", async (_name, call) => {
    for (const answer of ["5", '"text"', "null", "true", "{}", "[1]", '{"assignments":{}}', '{"status":5,"nonce":[]}'])
      await expectCode(() => answered(answer, call), "ICL_UNEXPECTED_ANSWER");
  });

  test.each(calls.map(([name, call]) => [name, call] as const))("%s: HTML, nothing, half a document", async (_name, call) => {
    for (const answer of ["<html><h1>It works</h1></html>", "", '{"status":"ok"', "\u0000"])
      await expectCode(() => answered(answer, call), "ICL_NOT_JSON");
  });

  test.each<[string, unknown, (icl: IclClient) => Promise<unknown>]>([
    ["a nonce that is no hex", { challengeId: "1", nonce: "0xzz", expiresAt: 1 }, (icl) => icl.challenge()],
    ["a nonce without an end", { challengeId: "1", nonce: "ab".repeat(5000), expiresAt: 1 }, (icl) => icl.challenge()],
    ["an empty challenge", { challengeId: "", nonce: "ab", expiresAt: 1 }, (icl) => icl.challenge()],
    ["a tier of its own", { certHash: "0x5b", expiry: 1, tier: 3 }, (icl) => calls[1]![1](icl)],
    ["a certificate for ever", { certHash: "0x5b", expiry: 9007199254740991, tier: 0 }, (icl) => calls[1]![1](icl)],
    ["a certificate that is a script", { certHash: "0x<script>", expiry: 1, tier: 0 }, (icl) => calls[1]![1](icl)],
    ["a CID that is a path", { status: "QUEUED", outputCid: "../x" }, (icl) => icl.jobStatus(jobId)],
    ["a status without an end", { status: "x".repeat(1000) }, (icl) => icl.jobStatus(jobId)],
    ["a deadline as text", { kpHighHandle: 1, kpLowHandle: 1, claimDeadline: "soon" }, (icl) => icl.claim(jobId)],
  ])("%s", async (_name, answer, call) => {
    await expectCode(() => answered(answer, call), "ICL_UNEXPECTED_ANSWER");
  });

  test("keys that would reach a prototype are dropped", async () => {
    const text = `{"status":"committed","finalized":true,"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}`;
    const result = await answered(text, (icl) => calls[6]![1](icl));
    expect(result).toEqual({ status: "committed", finalized: true });
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  test("a huge answer is not read to its end", async () => {
    using server = serve(() => new Response(endlessBody()));
    await expectCode(() => client(server.url).icl.heartbeat(), "ICL_BODY_TOO_LARGE");
    expect(server.requests).toHaveLength(1);
  });

  test("a redirect is no answer, whatever its body says, and is not followed", async () => {
    using target = serve(() => Response.json({ status: "ok" }));
    for (const status of [301, 302, 303, 307, 308]) {
      using server = serve(() => Response.json({ status: "ok" }, { status, headers: { Location: target.url } }));
      const error = await expectCode(() => client(server.url).icl.heartbeat(), "ICL_REJECTED");
      expect(error.message).toBe(`The coordinator (ICL) refused /internal/heartbeat (HTTP ${status})`);
      expect(error.retryable).toBe(false);
    }
    expect(target.requests).toHaveLength(0);
  });
});

describe("a status that is an error", () => {
  test.each<[number, string, boolean]>([
    [400, "ICL_REJECTED", false],
    [401, "ICL_UNKNOWN", false],
    [403, "ICL_REJECTED", false],
    [404, "ICL_UNKNOWN", false],
    [409, "ICL_REJECTED", false],
    [422, "ICL_REJECTED", false],
    [429, "ICL_FAILED", true],
    [500, "ICL_FAILED", true],
    [502, "ICL_FAILED", true],
    [503, "ICL_FAILED", true],
  ])("%d is %s, and is not tried again", async (status, code, retryable) => {
    using server = serve(() => Response.json({ detail: "because" }, { status }));
    const error = await expectCode(() => client(server.url).icl.claim(jobId), code);
    expect(error.message).toBe(`The coordinator (ICL) refused /internal/task/claim (HTTP ${status}): because`);
    expect([error.retryable, error.exitCode]).toEqual([retryable, retryable ? 75 : 1]);
    expect(server.requests).toHaveLength(1);
  });

  const messageOf = async (answer: unknown, status = 400) =>
    (await expectCode(() => answered(answer, (icl) => icl.jobStatus(jobId), status), "ICL_REJECTED")).message;

  test("shows the reason as one line of at most 200 characters", async () => {
    const refused = "The coordinator (ICL) refused /internal/jobs/0x11111111…/status (HTTP 400)";
    expect(await messageOf({ detail: "a\u001b[2J\nINFO forged\u202e\u0000" })).toBe(
      `${refused}: a\\u001b[2J\\u000aINFO forged\\u202e\\u0000`,
    );
    expect(await messageOf({ detail: "x".repeat(100_000) })).toBe(`${refused}: ${"x".repeat(200)}`);
    expect(await messageOf({ detail: "\n".repeat(1000) })).toHaveLength(refused.length + 2 + 200);
  });

  test.each<[string, unknown]>([
    ["FastAPI's list", { detail: [{ type: "missing", loc: ["body", "jobId"], msg: "Field required", input: {} }] }],
    ["HTML", "<html>Bad Gateway</html>"],
    ["nothing", ""],
    ["null", "null"],
    ["a number", { detail: 5 }],
  ])("without a reason that can be shown: %s", async (_name, answer) => {
    expect(await messageOf(answer)).toBe("The coordinator (ICL) refused /internal/jobs/0x11111111…/status (HTTP 400)");
  });
});

describe("a coordinator that cannot be reached", () => {
  test("is tried a second time, a second later, with a header signed anew", async () => {
    const seen: { timestamp: string; signature: string }[] = [];
    using server = serve(() => Response.json({ status: "ok" }));
    const failsOnce: Fetch = async (url, init) => {
      const headers = new Headers(init?.headers);
      seen.push({ timestamp: headers.get("x-timestamp")!, signature: headers.get("x-signature")! });
      if (seen.length === 1) throw Object.assign(new Error("reset"), { code: "ECONNRESET" });
      return fetch(url, init);
    };
    const { icl, clock } = client(server.url, { fetch: failsOnce });
    await icl.claim(jobId).catch(() => {});
    expect(clock.sleeps).toEqual([1000]);
    expect(seen.map(({ timestamp }) => timestamp)).toEqual(["1750000000", "1750000001"]);
    expect(seen[0]!.signature).not.toBe(seen[1]!.signature);
    const body = await server.requests[0]!.text();
    const message = `${body}1750000001`;
    const signature = seen[1]!.signature as `0x${string}`;
    expect(await recoverMessageAddress({ message, signature })).toBe(account.address);
  });

  test("is given up after the second time", async () => {
    using server = serve(() => new Response());
    const url = server.url;
    server[Symbol.dispose]();
    const { icl, clock } = client(url);
    const error = await expectCode(() => icl.heartbeat(), "ICL_UNREACHABLE");
    expect([error.retryable, error.exitCode, clock.sleeps]).toEqual([true, 75, [1000]]);
    expect(error.message).toBe(`The coordinator (ICL) at ${url} cannot be reached`);
  });

  test("an abort ends a call that waits for its answer, and a second try", async () => {
    const asked = Promise.withResolvers<void>();
    using server = serve(() => {
      asked.resolve();
      return new Response(stalledBody());
    });
    const controller = new AbortController();
    const result = client(server.url).icl.assignments(controller.signal);
    result.catch(() => {});
    await asked.promise;
    controller.abort(new Error("shutdown"));
    await expect(result).rejects.toThrow("shutdown");
    expect(server.requests).toHaveLength(1);
  });
});
