import { describe, expect, test } from "bun:test";
import { recoverMessageAddress } from "viem";
import type { IclClient } from "../../src/icl/client.ts";
import type { Fetch } from "../../src/lib/http.ts";
import { expectCode } from "../crypto/expect-code.ts";
import { endlessBody, serve, stalledBody } from "../ipfs/support.ts";
import { account, answered, calls, client, jobId } from "./coordinator.ts";

describe("a coordinator that lies", () => {
  const withoutHeartbeat = calls.filter(([name]) => name !== "heartbeat").map(([name, call]) => [name, call] as const);

  test.each(withoutHeartbeat)("%s: a wrong type, a missing field, a list, null", async (_name, call) => {
    for (const answer of ["5", '"text"', "null", "true", "{}", "[1]", '{"assignments":{}}', '{"status":5,"nonce":[]}'])
      await expectCode(() => answered(answer, call), "ICL_UNEXPECTED_ANSWER");
  });

  test.each(
    calls.map(([name, call]) => [name, call] as const),
  )("%s: HTML, nothing, half a document", async (_name, call) => {
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
