import { describe, expect, test } from "bun:test";
import { commitment, outputKeyJobId } from "../../src/crypto/commitment.ts";
import { BlfError } from "../../src/lib/errors.ts";
import { confirmationsNeeded } from "../../src/requester/confirmations.ts";
import { type InferParameters, infer } from "../../src/requester/infer.ts";
import { expectCode } from "../crypto/expect-code.ts";
import {
  honestAnswer,
  type Lies,
  leader,
  requesterAmong,
  strangerA,
  strangerB,
  verifierA,
  verifierB,
} from "./network.ts";

const prompt = "canary-prompt-4711: what is the capital of France?";
const parameters = (signal = new AbortController().signal): InferParameters => ({
  prompt,
  modelId: "qwen2.5-7b",
  verifierCount: 2,
  currency: "blind",
  signal,
});

/** What a lie ends with. Neither prompt nor answer may be in it. */
async function endOf(lies: Lies, code: string): Promise<BlfError> {
  const { ctx } = await requesterAmong(lies);
  const error = await expectCode(() => infer(ctx, parameters()), code);
  const text = `${error.message} ${error.hint} ${Bun.inspect(error)}`;
  expect(text).not.toContain("canary-prompt-4711");
  expect(text).not.toContain("capital of France");
  return error;
}

test("an honest network's answer is decrypted and checked", async () => {
  const { ctx, sent, uploads, handlesRead, outputCid } = await requesterAmong();
  const stages: string[] = [];
  const result = await infer(ctx, { ...parameters(), onStage: (stage) => stages.push(stage) });
  expect(result).toMatchObject({
    answer: honestAnswer,
    jobId: "550e8400",
    outputCid,
    commitment: commitment(outputCid, honestAnswer),
    leader,
    verifiers: [verifierA, verifierB],
  });
  expect(result.taskId).toMatch(/^0x[0-9a-f]{64}$/);
  expect(stages).toEqual(["encrypted", "key-stored", "submitted", "answered", "decrypted"]);
  expect(sent.map(({ purpose }) => purpose)).toEqual([`store-key:${result.taskId}`]);
  expect(handlesRead).toEqual([outputKeyJobId(result.taskId)]);
  expect(Buffer.from(uploads[0]!).includes("canary-prompt")).toBe(false);
});

describe("an answer that is not what the quorum committed to", () => {
  test("another text under the right key", async () => {
    const error = await endOf({ text: "London." }, "ANSWER_COMMITMENT_MISMATCH");
    expect([error.exitCode, error.hint]).toEqual([1, "Do not trust this answer; dispute the job."]);
  });

  test.each([
    ["of zeros", "0".repeat(64)],
    ["in capitals", "AB".repeat(32)],
    ["that is no hash", "<html>"],
  ])("a commitment %s", async (_name, result_hash) => {
    await endOf({ job: { result_hash } }, "ANSWER_COMMITMENT_MISMATCH");
  });

  test("an answer other than the one that the coordinator saw confirmed", async () => {
    await endOf({ confirmed: "ab".repeat(32) }, "ANSWER_COMMITMENT_MISMATCH");
    for (const confirmed of [null, ""]) {
      const { ctx } = await requesterAmong({ confirmed });
      expect((await infer(ctx, parameters())).answer).toBe(honestAnswer);
    }
  });

  test("a blob of another key, a broken blob, a short blob", async () => {
    await endOf({ key: new Uint8Array(32).fill(9) }, "BLOB_AUTHENTICATION_FAILED");
    await endOf({ blob: (blob) => blob.with(blob.length - 1, blob.at(-1)! ^ 1) }, "BLOB_AUTHENTICATION_FAILED");
    await endOf({ blob: (blob) => blob.subarray(0, 27) }, "BLOB_TOO_SHORT");
  });
});

describe("the nodes that answered", () => {
  const verdict = async (nodes: [string, string, string]) => {
    const [first, ...rest] = nodes as [typeof leader, typeof leader, typeof leader];
    const { ctx } = await requesterAmong({ job: { leader_address: first, verifier_addresses: rest } });
    return infer(ctx, parameters()).then(
      () => "accepted",
      (error: unknown) => (error as BlfError).code,
    );
  };

  test("may be the allowed ones in any order and case, or one new among them", async () => {
    expect(await verdict([leader, verifierA, verifierB])).toBe("accepted");
    expect(await verdict([verifierA, verifierB, leader])).toBe("accepted");
    expect(await verdict([leader.toLowerCase(), verifierA, verifierB])).toBe("accepted");
    expect(await verdict([leader, verifierA, strangerA])).toBe("accepted");
  });

  test("may not be mostly strangers", async () => {
    expect(await verdict([leader, strangerA, strangerB])).toBe("ANSWER_QUORUM_CHANGED");
    expect(await verdict([strangerA, verifierA, strangerB])).toBe("ANSWER_QUORUM_CHANGED");
  });
});

describe("the confirmations that the coordinator knows of", () => {
  test("may be two of three; one, none and a view without them are too few", async () => {
    const { ctx } = await requesterAmong({ confirmations: 2 });
    expect((await infer(ctx, parameters())).answer).toBe(honestAnswer);
    const error = await endOf({ confirmations: 1 }, "ANSWER_UNCONFIRMED");
    expect([error.message, error.hint, error.exitCode]).toEqual([
      "This answer has too few confirmations: 1 of the 2 that a quorum of 3 needs",
      "Do not trust this answer; dispute the job.",
      1,
    ]);
    await endOf({ confirmations: 0 }, "ANSWER_UNCONFIRMED");
    await endOf({ confirmations: -3 }, "ANSWER_UNCONFIRMED");
    for (const quorum of [null, undefined])
      await endOf({ client: { inference: async () => ({ status: "ACCEPTED", quorum }) } }, "ANSWER_UNCONFIRMED");
  });

  test("are as many as the protocol's table says", () => {
    expect([2, 3, 4, 5, 6].map(confirmationsNeeded)).toEqual([2, 2, 3, 4, 4]);
  });

  test("are asked for by task, and again while the coordinator is away", async () => {
    const asked: string[] = [];
    const away = new BlfError({ code: "ICL_UNREACHABLE", message: "away", hint: "wait", retryable: true });
    const honest = await requesterAmong({ confirmed: null });
    const { ctx } = await requesterAmong({
      client: {
        inference: (taskId) => {
          asked.push(taskId);
          return asked.length < 3 ? Promise.reject(away) : honest.ctx.client.inference(taskId);
        },
      },
    });
    const { taskId } = await infer(ctx, parameters());
    expect(asked).toEqual([taskId, taskId, taskId]);
    const gone = new BlfError({ code: "ICL_UNKNOWN", message: "no such task", hint: "check" });
    await endOf({ client: { inference: () => Promise.reject(gone) } }, "ICL_UNKNOWN");
  });
});

describe("a quorum that is offered", () => {
  test.each([
    ["with too few nodes", [verifierA]],
    ["with too many", [verifierA, verifierB, strangerA]],
    ["with one node twice", [verifierA, verifierA]],
    ["with the leader among the verifiers", [verifierA, leader]],
  ])("%s: nothing is stored and nothing is paid", async (_name, verifiers) => {
    let isPaid = false;
    const submit = async () => {
      isPaid = true;
      return { job_id: "550e8400" };
    };
    const { ctx, sent } = await requesterAmong({
      client: { quorumPreview: async () => ({ leader, verifiers }), submit },
    });
    const error = await expectCode(() => infer(ctx, parameters()), "QUORUM_INCOMPLETE");
    expect(error.exitCode).toBe(75);
    expect([isPaid, sent]).toEqual([false, []]);
  });
});

describe("an upload service that lies", () => {
  test("about the CID: nothing is stored and nothing is paid", async () => {
    const lie = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
    const { ctx, sent } = await requesterAmong({
      uploadedCid: lie,
      client: { submit: () => Promise.reject(new Error("must not be called")) },
    });
    await expectCode(() => infer(ctx, parameters()), "CID_MISMATCH");
    expect(sent).toEqual([]);
    await endOf({ uploadedCid: "notacid" }, "CID_INVALID");
  });
});

describe("a job", () => {
  const job = { job_id: "550e8400", status: "RUNNING" } as const;

  test.each([
    ["REFUNDED", "JOB_REJECTED"],
    ["FAILED", "JOB_FAILED"],
  ] as const)("that is %s ends with %s and the reason, made harmless", async (status, code) => {
    const error = await endOf({ jobs: [job, { ...job, status, error_reason: "no quorum\n\u001b[2Jforged" }] }, code);
    expect(error.message).toBe("The network gave no answer: no quorum\\u000a\\u001b[2Jforged");
    const silent = await endOf({ jobs: [{ ...job, status }] }, code);
    expect(silent.message).toBe("The network gave no answer");
    const long = await endOf({ jobs: [{ ...job, status, error_reason: "x".repeat(10_000) }] }, code);
    expect(long.message).toBe(`The network gave no answer: ${"x".repeat(200)}`);
  });

  test.each([
    "output_cid",
    "result_hash",
    "leader_address",
    "verifier_addresses",
  ] as const)("that is completed without %s is incomplete", async (field) => {
    await endOf({ job: { [field]: null } }, "JOB_INCOMPLETE");
  });

  test("that never ends is given up after six minutes", async () => {
    const { ctx, clock } = await requesterAmong({ client: { job: async () => job } });
    const error = await expectCode(() => infer(ctx, parameters()), "JOB_UNFINISHED");
    expect([error.retryable, error.exitCode]).toEqual([true, 75]);
    expect(error.message).toBe("The job 550e8400 was not finished within 6 minutes");
    const waited = clock.sleeps.reduce((sum, ms) => sum + ms, 0);
    expect(waited).toBeGreaterThanOrEqual(360_000);
    expect(waited).toBeLessThan(364_000);
    expect(clock.sleeps[0]).toBe(250);
    expect(Math.max(...clock.sleeps)).toBe(3000);
  });

  test("is asked for again when the payment service is away for a while", async () => {
    const away = new BlfError({ code: "PAYMENT_UNREACHABLE", message: "away", hint: "wait", retryable: true });
    const { ctx, polls } = await requesterAmong({ jobs: [away, job, away, job] });
    expect((await infer(ctx, parameters())).answer).toBe(honestAnswer);
    expect(polls()).toBe(5);
  });

  test("that the payment service does not know is not waited for", async () => {
    const unknown = new BlfError({ code: "PAYMENT_UNKNOWN", message: "no such job", hint: "check" });
    const { polls, ctx } = await requesterAmong({ jobs: [unknown] });
    await expectCode(() => infer(ctx, parameters()), "PAYMENT_UNKNOWN");
    expect(polls()).toBe(1);
  });

  test("is left when the user interrupts", async () => {
    const controller = new AbortController();
    const interrupted = new BlfError({ code: "INTERRUPTED", message: "Interrupted", hint: "again" });
    const { ctx } = await requesterAmong({
      client: {
        job: async () => {
          controller.abort(interrupted);
          return job;
        },
      },
    });
    await expect(infer(ctx, parameters(controller.signal))).rejects.toBe(interrupted);
  });
});

test("one failure at the start ends the others and nothing is stored or paid", async () => {
  const reasons: unknown[] = [];
  const refused = new BlfError({ code: "ICL_REJECTED", message: "not enough active nodes", hint: "wait" });
  const { ctx, sent } = await requesterAmong({
    client: {
      quorumPreview: () => Promise.reject(refused),
      uploadPrompt: (_blob, signal) =>
        new Promise((_, reject) =>
          signal!.addEventListener("abort", () => {
            reasons.push(signal!.reason);
            reject(signal!.reason);
          }),
        ),
    },
  });
  await expect(infer(ctx, parameters())).rejects.toBe(refused);
  expect(reasons).toEqual([refused]);
  expect(sent).toEqual([]);
});
