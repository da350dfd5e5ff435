import { describe, expect, test } from "bun:test";
import { recoverMessageAddress } from "viem";
import { expectCode } from "../crypto/expect-code.ts";
import { serve } from "../ipfs/support.ts";
import { account, answered, assignment, calls, client, jobId, max } from "./coordinator.ts";

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

  test.each([
    "null",
    (max + 1n).toString(),
    `"${max + 1n}"`,
    `"0x1${"0".repeat(64)}"`,
    "-1",
    "1.5",
    "1e80",
    '""',
    "[]",
    "true",
  ])("%s is refused", async (text) => {
    const error = await expectCode(() => claim(text), "ICL_UNEXPECTED_ANSWER");
    expect(error.message).toBe(
      'The coordinator (ICL) answered /internal/task/claim with an unexpected value at "kpHighHandle"',
    );
  });
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

test("a commitment in capitals is another one, as it is to the coordinator", async () => {
  const answer = { status: "QUEUED", outputCid: "bafyOUT", leaderCommitment: "AB".repeat(32) };
  expect(await answered(answer, (icl) => icl.jobStatus(jobId))).toEqual({
    status: "QUEUED",
    outputCid: "bafyOUT",
    leaderCommitment: "AB".repeat(32),
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
