import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { commitment } from "../../../src/crypto/commitment.ts";
import type { Assignment } from "../../../src/icl/wire.ts";
import { mockOutput } from "../../../src/inference/mock.ts";
import { BlfError } from "../../../src/lib/errors.ts";
import type { NodeContext } from "../../../src/node/context.ts";
import { createScheduler } from "../../../src/node/scheduler.ts";
import { type ManualClock, manualClock } from "../../helpers/manual-clock.ts";
import { until } from "../../helpers/until.ts";
import { modelId, startWorld, type World, type WorldJob, type WorldNode } from "../world.ts";

setDefaultTimeout(30_000);

let world: World;
let leader: WorldNode;
let verifier: WorldNode;
let ctx: NodeContext;

beforeAll(async () => {
  world = await startWorld();
  leader = await world.node();
  verifier = await world.node();
});
afterAll(() => world.stop());
beforeEach(() => {
  ctx = leader.context();
});

const recordOf = (job: WorldJob, node = leader) =>
  node.journal.find({ taskId: job.taskId, role: node === leader ? "leader" : "verifier" });
const seatOf = (job: WorldJob, node = leader) =>
  world.devnet.coordinator
    .jobs()
    .find(({ taskId }) => taskId === job.taskId)!
    .nodes.find(({ address }) => address === node.address)!;

/** Does one assignment to its end; `meanwhile` runs beside it. */
async function work(context: NodeContext, assignment: Assignment, meanwhile?: () => Promise<unknown>): Promise<void> {
  const scheduler = createScheduler(context, { onRoom: () => {} }, new AbortController().signal);
  scheduler.offer([assignment]);
  expect(scheduler.running()).toHaveLength(1);
  await Promise.all([scheduler.drain(), meanwhile?.()]);
  expect(scheduler.running()).toEqual([]);
}

/** The job failed with this code, and nothing of it was promised or submitted. */
async function expectFailed(job: WorldJob, code: string): Promise<void> {
  expect(recordOf(job)).toMatchObject({ state: "failed", failureCode: code });
  expect(leader.journal.commitments().map(({ taskId }) => taskId)).not.toContain(job.taskId);
  expect(seatOf(job)).toMatchObject({ commitment: undefined, agreed: false });
  expect(leader.log.lines({ message: "job failed", jobId: job.taskId })).toMatchObject([{ level: "error", code }]);
  const metrics = await ctx.metrics.registry.metrics();
  expect(metrics).toMatch(
    new RegExp(`blindference_jobs_total\\{role="leader",outcome="failed",code="${code}"\\} [1-9]`),
  );
}

const refusing =
  (code: string, retryable = false) =>
  () =>
    Promise.reject(new BlfError({ code, message: "no", hint: "none", retryable }));

/** Moves a clock on until a job has ended, once it has come so far: what comes before takes time of another clock. */
const runClock = (clock: ManualClock, job: WorldJob, stepMs: number, isThere: () => boolean) => async () => {
  await until("the job has come so far", isThere);
  await until("the job has ended", () => recordOf(job)?.state === "failed", { tick: () => clock.run(stepMs) });
};

test("answers a prompt: the buyer reads the model's text and the commitment fits it", async () => {
  const job = await world.job([leader, verifier], { prompt: "héllo, 世界 “quoted” \u{1F512}" });
  await work(ctx, await job.assignment(leader));
  const record = recordOf(job)!;
  expect(record).toMatchObject({ state: "submitted", modelId, determinismClass: "mock/sha256" });
  const text = mockOutput(modelId, job.prompt);
  expect(await world.readAnswer(job.taskId, record.outputCid!)).toBe(text);
  expect(record.commitment).toBe(commitment(record.outputCid!, text));
  expect(seatOf(job)).toMatchObject({ state: "answered", commitment: record.commitment! });
  expect(await world.storedOutputKeys(job.taskId)).toBe(1);
  expect(Object.keys(record.timings)).toEqual(
    expect.arrayContaining(["decrypt-key", "download", "generate", "upload", "store-key", "submit"]),
  );
  const metrics = await ctx.metrics.registry.metrics();
  expect(metrics).toMatch(/blindference_jobs_total\{role="leader",outcome="submitted",code=""\} [1-9]/);
  expect(metrics).toMatch(/blindference_jobs_running 0\n/);
});

describe("a prompt that cannot be read", () => {
  test("a blob shorter than any blob", async () => {
    const job = await world.job([leader, verifier], { blob: (sealed) => sealed.slice(0, 27) });
    await work(ctx, await job.assignment(leader));
    await expectFailed(job, "BLOB_TOO_SHORT");
  });

  test.each([
    ["tag", 12],
    ["text", 28],
    ["IV", 0],
  ])("a blob with a changed %s", async (_part, index) => {
    const flip = (sealed: Uint8Array) => sealed.map((byte, at) => (at === index ? byte ^ 1 : byte));
    const job = await world.job([leader, verifier], { blob: flip });
    await work(ctx, await job.assignment(leader));
    await expectFailed(job, "BLOB_AUTHENTICATION_FAILED");
  });

  test.each(["kpHighHandle", "kpLowHandle"])("a claim whose %s is 0", async (field) => {
    const job = await world.job([leader, verifier]);
    const claim = async (taskId: string) => ({ ...(await ctx.icl.claim(taskId)), [field]: 0n });
    await work({ ...ctx, icl: { ...ctx.icl, claim } }, await job.assignment(leader));
    await expectFailed(job, "CLAIM_WITHOUT_KEY");
  });
});

describe("a claim", () => {
  test("that the coordinator refuses ends the job", async () => {
    const job = await world.job([leader, verifier]);
    const icl = { ...ctx.icl, claim: refusing("ICL_REJECTED") };
    await work({ ...ctx, icl }, await job.assignment(leader));
    await expectFailed(job, "ICL_REJECTED");
  });

  test("whose answer is lost is repeated", async () => {
    const job = await world.job([leader, verifier]);
    let claims = 0;
    const claim: typeof ctx.icl.claim = async (taskId, signal) => {
      const answer = await ctx.icl.claim(taskId, signal);
      return claims++ === 0 ? refusing("ICL_UNREACHABLE", true)() : answer;
    };
    await work({ ...ctx, icl: { ...ctx.icl, claim } }, await job.assignment(leader));
    expect(claims).toBe(2);
    expect(recordOf(job)?.state).toBe("submitted");
  });
});

describe("the output", () => {
  test("that cannot be uploaded before the deadline is given up, and nothing was promised", async () => {
    const job = await world.job([leader, verifier]);
    const clock = manualClock(Date.now());
    const tries: number[] = [];
    const uploader = {
      upload: () => {
        tries.push(clock.now());
        return refusing("IPFS_UPLOAD_UNREACHABLE", true)();
      },
    };
    await work(
      { ...ctx, clock, uploader },
      await job.assignment(leader),
      runClock(clock, job, 1000, () => tries.length > 0),
    );
    await expectFailed(job, "DEADLINE_PASSED");
    expect(tries.length).toBeGreaterThan(20);
    const claimed = recordOf(job)!.claimDeadline! * 1000;
    expect(tries.at(-1)!).toBeWithin(claimed - 20_000, claimed);
    expect(clock.now()).toBeLessThan(claimed);
  });

  test("is not submitted when its key is refused by the chain", async () => {
    const job = await world.job([leader, verifier]);
    await work({ ...ctx, sender: { send: refusing("CHAIN_REVERTED") } }, await job.assignment(leader));
    await expectFailed(job, "CHAIN_REVERTED");
    expect(await world.storedOutputKeys(job.taskId)).toBe(0);
  });

  test("is not submitted when its key cannot be stored before the deadline", async () => {
    const job = await world.job([leader, verifier]);
    const clock = manualClock(Date.now());
    let tries = 0;
    const send = () => {
      tries++;
      return refusing("CHAIN_UNREACHABLE", true)();
    };
    const context = { ...ctx, clock, sender: { send } };
    await work(
      context,
      await job.assignment(leader),
      runClock(clock, job, 1000, () => tries > 0),
    );
    await expectFailed(job, "DEADLINE_PASSED");
  });

  test("that the coordinator takes, but whose answer is lost, counts as submitted", async () => {
    const job = await world.job([leader, verifier]);
    let sent = 0;
    const submitResult: typeof ctx.icl.submitResult = async (result, signal) => {
      const answer = await ctx.icl.submitResult(result, signal);
      return ++sent === 1 ? refusing("ICL_FAILED", true)() : answer;
    };
    await work({ ...ctx, icl: { ...ctx.icl, submitResult } }, await job.assignment(leader));
    expect(sent).toBe(2);
    expect(recordOf(job)).toMatchObject({ state: "submitted", commitment: seatOf(job).commitment! });
  });
});

test("a job that lost the hash of its key's transaction finds it again, and stores nothing twice", async () => {
  const job = await world.job([leader, verifier]);
  const leaving = new AbortController();
  const submitResult = () => {
    leaving.abort(new DOMException("stop", "AbortError"));
    return Promise.reject(leaving.signal.reason);
  };
  const icl = { ...ctx.icl, submitResult };
  const first = createScheduler({ ...ctx, icl }, { onRoom: () => {} }, leaving.signal);
  first.offer([await job.assignment(leader)]);
  await first.drain();
  const tx = recordOf(job)!.outputKeyTx;
  leader.journal.update({ taskId: job.taskId, role: "leader" }, { outputKeyTx: undefined });
  expect(recordOf(job)).toMatchObject({ state: "committed", outputKeyTx: undefined });
  const second = createScheduler(ctx, { onRoom: () => {} }, new AbortController().signal);
  second.resume();
  await second.drain();
  expect(recordOf(job)).toMatchObject({ state: "submitted", outputKeyTx: tx! });
  expect(await world.storedOutputKeys(job.taskId)).toBe(1);
});

describe("the engine", () => {
  test("that crashes is not asked the same thing again, not even after a restart", async () => {
    const job = await world.job([leader, verifier]);
    let runs = 0;
    const generate = () => {
      runs++;
      return refusing("ENGINE_CRASHED")();
    };
    const crashing = { ...ctx, inference: { ...ctx.inference, generate } };
    const assignment = await job.assignment(leader);
    await work(crashing, assignment);
    await expectFailed(job, "ENGINE_CRASHED");
    expect(recordOf(job)?.engineCrashes).toBe(1);
    const scheduler = createScheduler(crashing, { onRoom: () => {} }, new AbortController().signal);
    scheduler.resume();
    scheduler.offer([assignment]);
    expect(scheduler.running()).toEqual([]);
    expect(runs).toBe(1);
  });

  test("that crashed just before the node did is not asked again", async () => {
    const job = await world.job([leader, verifier]);
    const assignment = await job.assignment(leader);
    expect(leader.journal.begin(assignment)).toBe(true);
    leader.journal.update({ taskId: job.taskId, role: "leader" }, { engineCrashes: 1 });
    let runs = 0;
    const generate: typeof ctx.inference.generate = (...args) => {
      runs++;
      return ctx.inference.generate(...args);
    };
    const context = { ...ctx, inference: { ...ctx.inference, generate } };
    const scheduler = createScheduler(context, { onRoom: () => {} }, new AbortController().signal);
    scheduler.resume();
    await scheduler.drain();
    expect(runs).toBe(0);
    await expectFailed(job, "ENGINE_CRASHED_BEFORE");
  });

  test("that takes longer than the claim allows is stopped", async () => {
    const job = await world.job([leader, verifier]);
    const clock = manualClock(Date.now());
    let given: AbortSignal | undefined;
    const generate: typeof ctx.inference.generate = (_request, { signal }) => {
      given = signal;
      return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    };
    const context = { ...ctx, clock, inference: { ...ctx.inference, generate } };
    await work(
      context,
      await job.assignment(leader),
      runClock(clock, job, 10_000, () => given !== undefined),
    );
    await expectFailed(job, "DEADLINE_PASSED");
    expect(given?.reason).toBeInstanceOf(BlfError);
  });
});

test("an error that nobody expected fails the job without a word of its text", async () => {
  const job = await world.job([leader, verifier]);
  const generate = () => Promise.reject(new Error("canary: the prompt was hello"));
  await work({ ...ctx, inference: { ...ctx.inference, generate } }, await job.assignment(leader));
  await expectFailed(job, "INTERNAL");
  expect(leader.log.text()).not.toContain("canary");
});

test("a journal that cannot be written keeps neither the node from ending nor the job from going on", async () => {
  const job = await world.job([leader, verifier]);
  const assignment = await job.assignment(leader);
  const advance = () => {
    throw Object.assign(new Error("database or disk is full"), { code: "SQLITE_FULL" });
  };
  await work({ ...ctx, journal: { ...ctx.journal, advance } }, assignment);
  expect(recordOf(job)?.state).toBe("assigned");
  expect(leader.log.lines({ jobId: job.taskId, level: "error" })).toMatchObject([{ code: "SQLITE_FULL" }]);
  const scheduler = createScheduler(ctx, { onRoom: () => {} }, new AbortController().signal);
  scheduler.resume();
  await scheduler.drain();
  expect(recordOf(job)?.state).toBe("submitted");
});
