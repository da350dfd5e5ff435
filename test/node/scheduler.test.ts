import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { ConfigFile } from "../../src/config/schema.ts";
import type { Assignment } from "../../src/icl/wire.ts";
import type { Generation } from "../../src/inference/backend.ts";
import { mockOutput } from "../../src/inference/mock.ts";
import { BlfError } from "../../src/lib/errors.ts";
import type { NodeContext } from "../../src/node/context.ts";
import { createScheduler, reasonNotToLead } from "../../src/node/scheduler.ts";
import { until } from "../helpers/until.ts";
import { assignment } from "./journal/fixtures.ts";
import { stubContext } from "./stub-context.ts";
import { modelId, startWorld, type World, type WorldJob, type WorldNode } from "./world.ts";

setDefaultTimeout(30_000);

let world: World;
let leader: WorldNode;
let verifier: WorldNode;

beforeAll(async () => {
  world = await startWorld();
  leader = await world.node({ config: { max_concurrent_jobs: 2 } });
  verifier = await world.node();
});
afterAll(() => world.stop());

const never = () => new AbortController().signal;
const stateOf = (job: WorldJob, role: "leader" | "verifier" = "leader") =>
  (role === "leader" ? leader : verifier).journal.find({ taskId: job.taskId, role })?.state;

/** A model that holds each prompt until it is let go; `slots` of it run side by side. */
function heldModel(ctx: NodeContext, slots: number) {
  const held = new Map<string, () => void>();
  let most = 0;
  const generate: NodeContext["inference"]["generate"] = async ({ prompt }, { signal }) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    held.set(prompt, resolve);
    most = Math.max(most, held.size);
    signal.addEventListener("abort", () => reject(signal.reason));
    try {
      await promise;
    } finally {
      held.delete(prompt);
    }
    const generation: Generation = {
      text: mockOutput(modelId, prompt),
      promptTokens: 1,
      outputTokens: 1,
      finishReason: "stop",
      determinismClass: "held",
      ms: 1,
    };
    return generation;
  };
  const inference = { ...ctx.inference, generate, slotsOf: () => slots };
  return { ctx: { ...ctx, inference }, held, most: () => most, letGo: (prompt: string) => held.get(prompt)!() };
}

async function jobs(count: number): Promise<{ job: WorldJob; offer: Assignment }[]> {
  const made = [];
  for (let index = 0; index < count; index++) {
    const job = await world.job([leader, verifier]);
    made.push({ job, offer: await job.assignment(leader) });
  }
  return made;
}

describe("a node with one slot", () => {
  test("claims the second job when the first has left the model, before that is finished", async () => {
    const [first, second] = (await jobs(2)) as [
      { job: WorldJob; offer: Assignment },
      { job: WorldJob; offer: Assignment },
    ];
    const model = heldModel(leader.context(), 1);
    const blocked = Promise.withResolvers<void>();
    const upload: NonNullable<NodeContext["uploader"]>["upload"] = async (...args) => {
      await blocked.promise;
      return leader.context().uploader!.upload(...args);
    };
    let rooms = 0;
    const scheduler = createScheduler({ ...model.ctx, uploader: { upload } }, { onRoom: () => rooms++ }, never());
    const offer = () => scheduler.offer([first.offer, second.offer]);
    offer();
    await until("the first one runs", () => model.held.has(first.job.prompt));
    offer();
    expect(scheduler.hasRoom()).toBe(true);
    expect(stateOf(second.job)).toBeUndefined();
    expect(scheduler.running()).toMatchObject([{ taskId: first.job.taskId, role: "leader", modelId, usesModel: true }]);
    model.letGo(first.job.prompt);
    await until("there is room", () => rooms > 0);
    expect(scheduler.running()).toMatchObject([{ taskId: first.job.taskId, usesModel: false }]);
    offer();
    await until("the second one runs", () => model.held.has(second.job.prompt));
    expect(stateOf(first.job)).toBe("generated");
    model.letGo(second.job.prompt);
    blocked.resolve();
    await scheduler.drain();
    expect([stateOf(first.job), stateOf(second.job)]).toEqual(["submitted", "submitted"]);
    expect(model.most()).toBe(1);
  });
});

test("no more than max_concurrent_jobs are claimed, and the rest when there is room", async () => {
  const made = await jobs(3);
  const model = heldModel(leader.context(), 16);
  const scheduler = createScheduler(model.ctx, { onRoom: () => {} }, never());
  const offers = made.map(({ offer }) => offer);
  scheduler.offer(offers);
  await until("two of them run", () => model.held.size === 2);
  expect(scheduler.hasRoom()).toBe(false);
  scheduler.offer(offers);
  expect(scheduler.running()).toHaveLength(2);
  expect(stateOf(made[2]!.job)).toBeUndefined();
  model.letGo(made[0]!.job.prompt);
  await until("there is room", () => scheduler.hasRoom());
  scheduler.offer(offers);
  await until("the third one runs", () => model.held.has(made[2]!.job.prompt));
  for (const prompt of [...model.held.keys()]) model.letGo(prompt);
  await scheduler.drain();
  expect(made.map(({ job }) => stateOf(job))).toEqual(["submitted", "submitted", "submitted"]);
  expect(model.most()).toBe(2);
});

describe("draining", () => {
  test("finishes what runs and takes nothing new", async () => {
    const [first, second] = (await jobs(2)) as [
      { job: WorldJob; offer: Assignment },
      { job: WorldJob; offer: Assignment },
    ];
    const model = heldModel(leader.context(), 16);
    const scheduler = createScheduler(model.ctx, { onRoom: () => {} }, never());
    scheduler.offer([first.offer]);
    await until("it runs", () => model.held.has(first.job.prompt));
    let isDrained = false;
    const drained = scheduler.drain().then(() => {
      isDrained = true;
    });
    expect(scheduler.hasRoom()).toBe(false);
    scheduler.offer([second.offer]);
    expect(stateOf(second.job)).toBeUndefined();
    expect(isDrained).toBe(false);
    model.letGo(first.job.prompt);
    await drained;
    expect(stateOf(first.job)).toBe("submitted");
  });

  test("forced, it hands the jobs back to the journal, and the next start finishes them", async () => {
    const made = await jobs(2);
    const model = heldModel(leader.context(), 16);
    const force = new AbortController();
    const scheduler = createScheduler(model.ctx, { onRoom: () => {} }, force.signal);
    scheduler.offer(made.map(({ offer }) => offer));
    await until("both run", () => model.held.size === 2);
    const drained = scheduler.drain();
    force.abort(new DOMException("the node stops", "AbortError"));
    await drained;
    expect(made.map(({ job }) => stateOf(job))).toEqual(["claimed", "claimed"]);
    for (const { job } of made)
      expect(leader.log.lines({ jobId: job.taskId, level: "warn" })[0]!.message).toContain(
        "interrupted by the shutdown",
      );
    const next = createScheduler(leader.context(), { onRoom: () => {} }, never());
    next.resume();
    expect(next.running()).toHaveLength(2);
    await next.drain();
    expect(made.map(({ job }) => stateOf(job))).toEqual(["submitted", "submitted"]);
    for (const { job } of made) expect(await world.storedOutputKeys(job.taskId)).toBe(1);
  });
});

test("a resumed job of a model that is not served any more fails, and keeps no other from starting", async () => {
  const node = await world.node({ config: { mock_model_ids: ["mock-model", "mock-old"] } });
  const committed = { taskId: `0x${"ab".repeat(32)}`, role: "verifier" } as const;
  node.journal.begin({ ...assignment(committed.taskId, "verifier"), modelId: "gone" });
  node.journal.advance(committed, "claimed", { claimDeadline: Math.floor(Date.now() / 1000) + 300 });
  node.journal.begin({ ...assignment(`0x${"cd".repeat(32)}`, "verifier"), modelId: "gone" });
  node.journal.advance(committed, "generated");
  const promised = { commitment: "26a34ec75e765ab81595c667378ae344044ace41d726a5aa3bedd7cbc946d75b" };
  node.journal.advance(committed, "committed", { ...promised, verdict: "CONFIRM" });
  const away = () =>
    Promise.reject(new BlfError({ code: "ICL_UNREACHABLE", message: "no", hint: "none", retryable: true }));
  const ctx = node.context();
  const force = new AbortController();
  const icl = { ...ctx.icl, submitVerdict: away };
  const scheduler = createScheduler({ ...ctx, icl }, { onRoom: () => {} }, force.signal);
  scheduler.resume();
  expect(scheduler.running().map(({ usesModel }) => usesModel)).toEqual(expect.arrayContaining([true, false]));
  await until("the other one failed", () => node.journal.countByState()["failed"] === 1);
  const job = await world.job([leader, node]);
  scheduler.offer([await job.assignment(node)]);
  expect(scheduler.running().map(({ taskId }) => taskId)).toEqual([committed.taskId, job.taskId]);
  force.abort(new DOMException("stop", "AbortError"));
  await scheduler.drain();
});

describe("an assignment is declined", () => {
  const cases: [string, ConfigFile, Partial<NodeContext>, string][] = [
    ["without an upload service", {}, { uploader: undefined }, "no upload service is configured"],
    ["without a key store", { prompt_key_store_address: "" }, {}, "no PromptKeyStore is configured"],
    ["when output keys are not stored", { skip_output_key_storage: true }, {}, "skip_output_key_storage is set"],
  ];
  const store = "0x7120fAbdAD2FC5B05CD814A59457eB5fCd9Cfa7E" as const;

  test.each(cases)("%s: led is nothing, verified is", async (_name, config, overrides, reason) => {
    const { ctx, log } = await stubContext({ config: { prompt_key_store_address: store, ...config }, overrides });
    const started: string[] = [];
    const claim = async (taskId: string) => {
      started.push(taskId);
      throw new BlfError({ code: "ICL_REJECTED", message: "no", hint: "none" });
    };
    const scheduler = createScheduler({ ...ctx, icl: { ...ctx.icl, claim } }, { onRoom: () => {} }, never());
    for (let poll = 0; poll < 5; poll++) scheduler.offer([assignment("0x01"), assignment("0x02", "verifier")]);
    await scheduler.drain();
    expect(started).toEqual(["0x02"]);
    expect(ctx.journal.find({ taskId: "0x01", role: "leader" })).toBeUndefined();
    expect(log.lines({ message: "assignment declined" })).toMatchObject([
      { jobId: "0x01", role: "leader", level: "warn" },
    ]);
    expect(log.lines({ message: "assignment declined" })[0]!["reason"]).toStartWith(reason);
    expect(reasonNotToLead(ctx)).toStartWith(reason);
  });

  test.each([
    ["that no backend serves", "llama-3-70b", {}],
    ["whose backend is unhealthy", "mock-model", { canServe: () => false }],
  ])("for a model %s, in either role", async (_name, model, inference) => {
    const { ctx, log } = await stubContext({ config: { prompt_key_store_address: store } });
    const context = { ...ctx, inference: { ...ctx.inference, ...inference } };
    const scheduler = createScheduler(context, { onRoom: () => {} }, never());
    scheduler.offer([
      { ...assignment("0x01"), modelId: model },
      { ...assignment("0x02", "verifier"), modelId: model },
    ]);
    expect(scheduler.running()).toEqual([]);
    expect(ctx.journal.countByState()).toEqual({});
    expect(log.lines({ message: "assignment declined", model })).toHaveLength(2);
  });
});

test("a job that is in the journal, however it ended, is not taken again", async () => {
  const { ctx } = await stubContext({ config: { prompt_key_store_address: `0x${"1".repeat(40)}` } });
  for (const end of ["failed", undefined] as const) {
    const key = { taskId: `0x${end ?? "assigned"}`, role: "verifier" } as const;
    ctx.journal.begin(assignment(key.taskId, "verifier"));
    if (end) ctx.journal.advance(key, end);
    const scheduler = createScheduler(ctx, { onRoom: () => {} }, never());
    scheduler.offer([assignment(key.taskId, "verifier")]);
    expect(scheduler.running()).toEqual([]);
  }
});

test("no more jobs of an earlier run go on at once than this node may do, those first that only have to be submitted", async () => {
  const claim = () => new Promise<never>(() => {});
  const submitVerdict = () => new Promise<never>(() => {});
  const { ctx, clock } = await stubContext({
    config: { max_concurrent_jobs: 2 },
    icl: { claim, submitVerdict, clockOffset: () => 0 },
  });
  const claimDeadline = Math.floor(clock.now() / 1000) + 300;
  for (const [index, taskId] of ["0x01", "0x02", "0x03"].entries()) {
    ctx.journal.begin(assignment(taskId, "verifier"));
    const change = { claimDeadline: claimDeadline - index, commitment: "c".repeat(64), verdict: "CONFIRM" } as const;
    ctx.journal.advance({ taskId, role: "verifier" }, "claimed", change);
  }
  for (const state of ["generated", "committed"] as const)
    ctx.journal.advance({ taskId: "0x01", role: "verifier" }, state);
  const force = new AbortController();
  const scheduler = createScheduler(ctx, { onRoom: () => {} }, force.signal);
  scheduler.resume(({ state }) => state === "committed");
  scheduler.resume();
  scheduler.resume();
  expect(scheduler.running().map(({ taskId }) => taskId)).toEqual(["0x01", "0x03"]);
  expect(scheduler.hasRoom()).toBe(false);
});
