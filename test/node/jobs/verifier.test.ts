import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { commitment } from "../../../src/crypto/commitment.ts";
import type { JobStatus } from "../../../src/icl/wire.ts";
import { mockOutput } from "../../../src/inference/mock.ts";
import { BlfError } from "../../../src/lib/errors.ts";
import type { NodeContext } from "../../../src/node/context.ts";
import { createScheduler } from "../../../src/node/scheduler.ts";
import { manualClock } from "../../helpers/manual-clock.ts";
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
  ctx = verifier.context();
});

const recordOf = (job: WorldJob) => verifier.journal.find({ taskId: job.taskId, role: "verifier" });
const snapshotOf = (job: WorldJob) => world.devnet.coordinator.jobs().find(({ taskId }) => taskId === job.taskId)!;
const seatOf = (job: WorldJob) => snapshotOf(job).nodes.find(({ address }) => address === verifier.address)!;

async function work(node: WorldNode, job: WorldJob, context = node.context()): Promise<void> {
  const scheduler = createScheduler(context, { onRoom: () => {} }, new AbortController().signal);
  scheduler.offer([await job.assignment(node)]);
  await scheduler.drain();
}

/** A context whose coordinator says this of the job. */
function withStatus(status: (real: () => Promise<JobStatus>) => Promise<JobStatus>): NodeContext {
  return {
    ...ctx,
    icl: { ...ctx.icl, jobStatus: (taskId, signal) => status(() => ctx.icl.jobStatus(taskId, signal)) },
  };
}

test("confirms the leader's answer with its own commitment over the leader's CID", async () => {
  const job = await world.job([leader, verifier]);
  await work(leader, job);
  await work(verifier, job);
  const { outputCid } = snapshotOf(job);
  const own = commitment(outputCid!, mockOutput(modelId, job.prompt));
  expect(recordOf(job)).toMatchObject({
    state: "submitted",
    verdict: "CONFIRM",
    commitment: own,
    outputCid: outputCid!,
  });
  expect(seatOf(job)).toMatchObject({ verdict: "CONFIRM", commitment: own, agreed: true });
  expect(snapshotOf(job).status).toBe("ACCEPTED");
  // A verifier stores and uploads nothing.
  expect(recordOf(job)).toMatchObject({ outputKeyTx: undefined, sealedOutputKey: undefined });
});

test("starts before the leader has answered, and waits for it", async () => {
  const job = await world.job([leader, verifier]);
  const verifying = work(verifier, job);
  await until("it waits for the leader", () => recordOf(job)?.state === "generated");
  await work(leader, job);
  await verifying;
  expect(recordOf(job)).toMatchObject({ state: "submitted", verdict: "CONFIRM" });
});

test("rejects when the coordinator shows another commitment of the leader", async () => {
  const job = await world.job([leader, verifier]);
  await work(leader, job);
  const other = "c985acfd9c156a1d5a0f2b18a4f020453d49f7d895f6803e560c31bcb2c47dbd";
  await work(
    verifier,
    job,
    withStatus(async (real) => ({ ...(await real()), leaderCommitment: other })),
  );
  const own = commitment(snapshotOf(job).outputCid!, mockOutput(modelId, job.prompt));
  expect(recordOf(job)).toMatchObject({ state: "submitted", verdict: "REJECT", commitment: own });
  expect(seatOf(job)).toMatchObject({ verdict: "REJECT", commitment: own, agreed: false });
});

test("confirms when the shown commitment is its own", async () => {
  const job = await world.job([leader, verifier]);
  await work(leader, job);
  const leaderCommitment = snapshotOf(job).commitment!;
  await work(
    verifier,
    job,
    withStatus(async (real) => ({ ...(await real()), leaderCommitment })),
  );
  expect(seatOf(job)).toMatchObject({ verdict: "CONFIRM", agreed: true });
});

describe("a leader that says nothing", () => {
  test("is waited for 120 s, at first every half second and then ever more rarely", async () => {
    const job = await world.job([leader, verifier]);
    const clock = manualClock(Date.now());
    const asked: number[] = [];
    const context = withStatus(async () => {
      asked.push(clock.now());
      return { status: "QUEUED", outputCid: undefined, leaderCommitment: undefined };
    });
    const working = work(verifier, job, { ...context, clock });
    await until("it waits for the leader", () => recordOf(job)?.state === "generated");
    await until("the job has ended", () => recordOf(job)?.state === "failed", { tick: () => clock.run(1000) });
    await working;
    expect(recordOf(job)).toMatchObject({ state: "failed", failureCode: "LEADER_SILENT" });
    expect(verifier.journal.commitments().map(({ taskId }) => taskId)).not.toContain(job.taskId);
    expect(seatOf(job).commitment).toBeUndefined();
    const gaps = asked.slice(1).map((time, index) => time - asked[index]!);
    expect(gaps.slice(0, 5)).toEqual([500, 1000, 2000, 4000, 8000]);
    expect(new Set(gaps.slice(5))).toEqual(new Set([10_000]));
    expect(asked.at(-1)! - asked[0]!).toBeWithin(110_000, 120_001);
  });

  test("is not called silent while the coordinator itself cannot be reached", async () => {
    const job = await world.job([leader, verifier]);
    const clock = manualClock(Date.now());
    let isAway = true;
    const context = withStatus((real) =>
      isAway
        ? Promise.reject(new BlfError({ code: "ICL_UNREACHABLE", message: "no", hint: "none", retryable: true }))
        : real(),
    );
    const working = work(verifier, job, { ...context, clock });
    await until("it waits for the leader", () => recordOf(job)?.state === "generated");
    await clock.run(200_000);
    expect(recordOf(job)?.state).toBe("generated");
    await work(leader, job);
    isAway = false;
    await until("the job has ended", () => recordOf(job)?.state === "submitted", { tick: () => clock.run(1000) });
    await working;
  });

  test.each(["REJECTED", "TIMEDOUT", "FAILED"])("is not waited for once the job is %s", async (word) => {
    const job = await world.job([leader, verifier]);
    await work(
      verifier,
      job,
      withStatus(async (real) => ({ ...(await real()), status: word })),
    );
    expect(recordOf(job)).toMatchObject({ state: "failed", failureCode: "LEADER_JOB_OVER" });
  });

  test("is still waited for while the coordinator is away or does not know the job", async () => {
    const job = await world.job([leader, verifier]);
    const errors = ["ICL_UNREACHABLE", "ICL_UNKNOWN", "ICL_TIMEOUT"];
    const context = withStatus((real) => {
      const code = errors.shift();
      if (!code) return real();
      return Promise.reject(new BlfError({ code, message: "no", hint: "none", retryable: code !== "ICL_UNKNOWN" }));
    });
    await work(leader, job);
    const clock = manualClock(Date.now());
    const working = work(verifier, job, { ...context, clock });
    await until("it waits for the leader", () => recordOf(job)?.state === "generated");
    await until("the job has ended", () => recordOf(job)?.state === "submitted", { tick: () => clock.run(100) });
    await working;
    expect(errors).toEqual([]);
    expect(seatOf(job).verdict).toBe("CONFIRM");
  });
});

describe("going on after a restart", () => {
  test("with a verdict that the coordinator already has", async () => {
    const job = await world.job([leader, verifier]);
    await work(leader, job);
    const leaving = new AbortController();
    // The coordinator takes the verdict, and the node ends before it hears of that.
    const submitVerdict: typeof ctx.icl.submitVerdict = async (submission) => {
      await ctx.icl.submitVerdict(submission);
      leaving.abort(new DOMException("stop", "AbortError"));
      throw leaving.signal.reason;
    };
    const first = createScheduler({ ...ctx, icl: { ...ctx.icl, submitVerdict } }, { onRoom: () => {} }, leaving.signal);
    first.offer([await job.assignment(verifier)]);
    await first.drain();
    expect(recordOf(job)?.state).toBe("committed");
    expect(seatOf(job).verdict).toBe("CONFIRM");
    const second = createScheduler(verifier.context(), { onRoom: () => {} }, new AbortController().signal);
    second.resume();
    await second.drain();
    expect(recordOf(job)).toMatchObject({ state: "submitted", verdict: "CONFIRM", failureCode: undefined });
  });

  test("never with a second commitment, although the leader's CID is another now", async () => {
    const job = await world.job([leader, verifier]);
    await work(leader, job);
    const key = { taskId: job.taskId, role: "verifier" } as const;
    const context = withStatus((real) => {
      verifier.journal.commit(key, "26a34ec75e765ab81595c667378ae344044ace41d726a5aa3bedd7cbc946d75b");
      return real();
    });
    await work(verifier, job, context);
    expect(recordOf(job)).toMatchObject({ state: "failed", failureCode: "COMMITMENT_CONFLICT" });
    expect(seatOf(job).verdict).toBeUndefined();
  });
});
