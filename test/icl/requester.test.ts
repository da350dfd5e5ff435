import { describe, expect, test } from "bun:test";
import type { EncryptedInput } from "../../src/cofhe/cofhe.ts";
import { createRequesterClient, type RequesterClient } from "../../src/icl/requester.ts";
import type { Fetch } from "../../src/lib/http.ts";
import { expectCode } from "../crypto/expect-code.ts";
import { endlessBody, serve } from "../ipfs/support.ts";
import { jumpingClock } from "../lib/jumping-clock.ts";

const [user, leader, verifier] = [
  "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
  "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
  "0x90F79bf6EB2c4f870365E785982E1f101E93b906",
] as const;
const max = 2n ** 256n - 1n;
const input = (ctHash: bigint): EncryptedInput => ({ ctHash, securityZone: 0, utype: 6, signature: "0xaa" });
const job = {
  userAddress: user,
  taskId: `0x${"11".repeat(32)}`,
  promptCid: "bafkreigh2akiscaildc",
  modelId: "groq:llama-3.3-70b-versatile",
  encryptedKey: { high: input(max), low: input(7n) },
  promptKeyStoreTx: "0x22",
  promptKeyStoreAddress: verifier,
  promptLength: 5,
  verifierCount: 2,
  currency: "blind",
} as const;

const clientOf = (url: string, f: Fetch = fetch) =>
  createRequesterClient({ iclUrl: url, paymentUrl: `${url}/payment`, fetch: f, clock: jumpingClock() });

async function answered<T>(answer: unknown, action: (client: RequesterClient) => Promise<T>, status = 200): Promise<T> {
  const body = typeof answer === "string" ? answer : JSON.stringify(answer);
  using server = serve(() => new Response(body, { status }));
  return await action(clientOf(server.url));
}

describe("what a requester asks", () => {
  test("the quorum's preview, with everything in the query escaped", async () => {
    using server = serve(() => Response.json({ leader: leader.toLowerCase(), verifiers: [verifier], candidates: [] }));
    const preview = await clientOf(server.url).quorumPreview("groq:a&min_tier=2 é", 2);
    expect(preview).toEqual({ leader, verifiers: [verifier] });
    const url = new URL(server.requests[0]!.url);
    expect([url.pathname, Object.fromEntries(url.searchParams)]).toEqual([
      "/v1/inference/quorum-preview",
      { model_id: "groq:a&min_tier=2 é", min_tier: "0", verifier_count: "2", zdr_required: "false" },
    ]);
  });

  test("to keep a prompt, as a file of a form", async () => {
    using server = serve(() => Response.json({ cid: "bafkreigh2akiscaildc" }));
    const blob = Uint8Array.of(0, 1, 2, 255, 13, 10);
    expect(await clientOf(server.url).uploadPrompt(blob)).toBe("bafkreigh2akiscaildc");
    const request = server.requests[0]!;
    expect([request.method, new URL(request.url).pathname]).toEqual(["POST", "/v1/inference/upload-prompt"]);
    const file = (await request.formData()).get("file") as File;
    expect([file.name, ...(await file.bytes())]).toEqual(["blindference-text-prompt.bin", ...blob]);
  });

  test("a job, field by field as PROTOCOL.md Appendix A has it", async () => {
    using server = serve(() =>
      Response.json({ job_id: "550e8400", status: "RUNNING", escrow_id: 214, coverage_id: null }),
    );
    expect(await clientOf(server.url).submit(job)).toEqual({ job_id: "550e8400" });
    const request = server.requests[0]!;
    expect(new URL(request.url).pathname).toBe("/payment/v1/jobs/submit");
    expect(await request.json()).toEqual({
      user_address: user,
      prompt_cid: "bafkreigh2akiscaildc",
      model_id: "groq:llama-3.3-70b-versatile",
      encrypted_prompt_key_high: max.toString(),
      encrypted_prompt_key_low: "7",
      payment_mode: "credits",
      payment_currency: "blind",
      insurance_opt_in: false,
      escrow_id: null,
      task_id: `0x${"11".repeat(32)}`,
      min_tier: 0,
      zdr_required: false,
      verifier_count: 2,
      permits: [],
      metadata: {
        cofhe_prompt_key_inputs: {
          high: { ctHash: max.toString(), securityZone: 0, utype: 6, signature: "0xaa" },
          low: { ctHash: "7", securityZone: 0, utype: 6, signature: "0xaa" },
        },
        prompt_key_store_tx: "0x22",
        prompt_key_store_status: "stored_by_user",
        prompt_key_store_address: verifier,
        provider: "groq",
        model: "llama-3.3-70b-versatile",
        prompt_length: 5,
        is_agent_job: false,
      },
    });
  });

  test("a job of a model without a provider", async () => {
    using server = serve(() => Response.json({ job_id: "1" }));
    await clientOf(server.url).submit({ ...job, modelId: "qwen2.5-7b" });
    const { metadata } = (await server.requests[0]!.json()) as { metadata: { provider: string; model: string } };
    expect([metadata.provider, metadata.model]).toEqual(["local", "qwen2.5-7b"]);
  });

  test("a job's state, with the id kept inside of the path", async () => {
    using server = serve(() => Response.json({ job_id: "x", status: "RUNNING" }));
    await clientOf(server.url).job("../../admin?x=1#y");
    expect(new URL(server.requests[0]!.url).pathname).toBe("/payment/v1/jobs/..%2F..%2Fadmin%3Fx%3D1%23y");
  });

  test("balance and deposit", async () => {
    using server = serve(({ method }) =>
      Response.json(method === "POST" ? { status: "credited" } : { balance_cusdc: "5000", balance_blind: "1.5" }),
    );
    const client = clientOf(server.url);
    expect(await client.balance(user)).toEqual({ balance_cusdc: "5000", balance_blind: "1.5" });
    await client.deposit("0x22");
    expect(server.requests.map(({ url }) => new URL(url).pathname)).toEqual([
      `/payment/v1/balance/${user}`,
      "/payment/v1/deposit",
    ]);
    expect(await server.requests[1]!.json()).toEqual({ tx_hash: "0x22" });
  });
});

describe("services that lie", () => {
  const completed = {
    job_id: "1",
    status: "COMPLETED",
    leader_address: leader.toLowerCase(),
    verifier_addresses: [verifier],
    result_hash: "26a3",
    output_cid: "bafyOUT",
    encrypted_output_key_high: max.toString(),
    encrypted_output_key_low: "666",
  };

  test("addresses come out checksummed, handles exact", async () => {
    const result = await answered(completed, (client) => client.job("1"));
    expect(result).toEqual({
      ...completed,
      status: "COMPLETED",
      leader_address: leader,
      encrypted_output_key_high: max,
      encrypted_output_key_low: 666n,
    });
  });

  test.each<[string, unknown, (client: RequesterClient) => Promise<unknown>, string]>([
    ["a quorum without a leader", { verifiers: [verifier] }, (c) => c.quorumPreview("m", 2), "ICL_UNEXPECTED_ANSWER"],
    ["a quorum of one", { leader, verifiers: [] }, (c) => c.quorumPreview("m", 2), "ICL_UNEXPECTED_ANSWER"],
    ["a quorum of texts", { leader, verifiers: ["0x1"] }, (c) => c.quorumPreview("m", 2), "ICL_UNEXPECTED_ANSWER"],
    ["a CID that is a path", { cid: "../../x" }, (c) => c.uploadPrompt(Uint8Array.of(1)), "ICL_UNEXPECTED_ANSWER"],
    ["a job without an id", { job_id: "" }, (c) => c.submit(job), "PAYMENT_UNEXPECTED_ANSWER"],
    ["a number for a job's id", { job_id: 5 }, (c) => c.submit(job), "PAYMENT_UNEXPECTED_ANSWER"],
    ["a state of its own", { job_id: "1", status: "DONE" }, (c) => c.job("1"), "PAYMENT_UNEXPECTED_ANSWER"],
    [
      "a leader that is no address",
      { ...completed, leader_address: "me" },
      (c) => c.job("1"),
      "PAYMENT_UNEXPECTED_ANSWER",
    ],
    [
      "a verifier that is no address",
      { ...completed, verifier_addresses: [verifier, "you"] },
      (c) => c.job("1"),
      "PAYMENT_UNEXPECTED_ANSWER",
    ],
    ["an output that is a path", { ...completed, output_cid: "../x" }, (c) => c.job("1"), "PAYMENT_UNEXPECTED_ANSWER"],
    [
      "a handle beyond 256 bits",
      { ...completed, encrypted_output_key_high: (max + 1n).toString() },
      (c) => c.job("1"),
      "PAYMENT_UNEXPECTED_ANSWER",
    ],
    [
      "a balance that is a number",
      { balance_cusdc: 1, balance_blind: "1" },
      (c) => c.balance(user),
      "PAYMENT_UNEXPECTED_ANSWER",
    ],
    ["HTML for a balance", "<html>", (c) => c.balance(user), "PAYMENT_NOT_JSON"],
    ["HTML for a job", "<html>", (c) => c.job("1"), "PAYMENT_NOT_JSON"],
  ])("%s", async (_name, answer, call, code) => {
    await expectCode(() => answered(answer, call), code);
  });

  test.each<[number, string]>([
    [402, "PAYMENT_REJECTED"],
    [404, "PAYMENT_UNKNOWN"],
    [500, "PAYMENT_FAILED"],
  ])("HTTP %d is %s, with the reason", async (status, code) => {
    const detail = "Insufficient credits: need 5000 cUSDC / 0 BLIND";
    const error = await expectCode(() => answered({ detail }, (client) => client.submit(job), status), code);
    expect(error.message).toBe(`The payment service refused /v1/jobs/submit (HTTP ${status}): ${detail}`);
  });

  test("a body without an end", async () => {
    using server = serve(() => new Response(endlessBody()));
    await expectCode(() => clientOf(server.url).quorumPreview("m", 2), "ICL_BODY_TOO_LARGE");
    await expectCode(() => clientOf(server.url).job("1"), "PAYMENT_BODY_TOO_LARGE");
  });

  test("a service that is down is tried twice and named", async () => {
    let calls = 0;
    const down: Fetch = () => {
      calls++;
      return Promise.reject(Object.assign(new Error("refused"), { code: "ECONNREFUSED" }));
    };
    const error = await expectCode(() => clientOf("http://127.0.0.1:1", down).balance(user), "PAYMENT_UNREACHABLE");
    expect([error.message, calls]).toEqual(["The payment service at http://127.0.0.1:1 cannot be reached", 2]);
  });
});
