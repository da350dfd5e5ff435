import { beforeEach, describe, expect, test } from "bun:test";
import type { Generation } from "../../src/inference/backend.ts";
import { BlfError, errorCode } from "../../src/lib/errors.ts";
import type { NodeContext } from "../../src/node/context.ts";
import { claimJob } from "../../src/node/jobs/claim.ts";
import { generate } from "../../src/node/jobs/generate.ts";
import { fastestAnswerMs, learnClaimLife, learnPace, reasonTooSlow } from "../../src/node/pace.ts";
import { createScheduler } from "../../src/node/scheduler.ts";
import type { ManualClock } from "../helpers/manual-clock.ts";
import { assignment } from "./journal/fixtures.ts";
import { stubContext } from "./stub-context.ts";

const key = { taskId: "0x01", role: "verifier" } as const;
const modelId = "mock-model";
const minute = 60_000;

let world: Awaited<ReturnType<typeof stubContext>>;
let ctx: NodeContext;
let clock: ManualClock;

beforeEach(async () => {
  world = await stubContext({ icl: { clockOffset: () => 0 } });
  ({ ctx, clock } = world);
  ctx.journal.begin(assignment(key.taskId, key.role));
});

const record = () => ctx.journal.find(key)!;
const learn = (...modelMs: number[]) => {
  for (const ms of modelMs) learnPace(ctx, record(), { modelMs: ms, restMs: 1000 });
};
const isTooSlow = (id = modelId) => reasonTooSlow(ctx, "verifier", id) !== undefined;

describe("a model is too slow", () => {
  test("when most of its last jobs took longer than a claim lasts, and not after one or two", () => {
    learn(400_000, 400_000);
    expect(isTooSlow()).toBe(false);
    learn(400_000);
    expect(reasonTooSlow(ctx, "verifier", modelId)).toBe("its last jobs took 401 s each, and a claim lasts 300 s");
    learn(5000, 5000, 5000, 5000);
    expect(isTooSlow()).toBe(false);
  });

  test("for the role in which it was slow, and no other model is", () => {
    learn(400_000, 400_000, 400_000);
    expect(reasonTooSlow(ctx, "leader", modelId)).toBeUndefined();
    expect(isTooSlow("another")).toBe(false);
  });

  test("by the time around the model as well", () => {
    for (let job = 0; job < 3; job++) learnPace(ctx, record(), { modelMs: 1000, restMs: 290_000 });
    expect(isTooSlow()).toBe(true);
  });

  test("by what the coordinator's claims last, once that is known", () => {
    learn(40_000, 40_000, 40_000);
    expect(isTooSlow()).toBe(false);
    learnClaimLife(ctx, 42_000);
    expect(isTooSlow()).toBe(true);
  });

  test("until an hour later, when it is tried again", () => {
    learn(400_000, 400_000, 400_000);
    clock.advance(59 * minute);
    expect(isTooSlow()).toBe(true);
    clock.advance(2 * minute);
    expect(isTooSlow()).toBe(false);
  });

  test("but not by what a clock that was set back takes to be in the future, or by what cannot be read", () => {
    learn(400_000, 400_000, 400_000);
    clock.advance(-minute);
    expect(isTooSlow()).toBe(false);
    for (const text of ["", "{}", '[{"at":"now"}]', "[null]", "nonsense"]) {
      ctx.journal.setFact(`pace verifier ${modelId}`, text);
      expect(isTooSlow()).toBe(false);
    }
  });

  test("and then its assignments are declined, which log and reason say", async () => {
    learn(400_000, 400_000, 400_000);
    const scheduler = createScheduler(ctx, { onRoom: () => {} }, new AbortController().signal);
    scheduler.offer([assignment("0x02", "verifier")]);
    expect(scheduler.running()).toEqual([]);
    expect(ctx.journal.find({ taskId: "0x02", role: "verifier" })).toBeUndefined();
    expect(world.log.lines({ message: "assignment declined" })[0]!["reason"]).toBe(
      reasonTooSlow(ctx, "verifier", modelId),
    );
  });
});

test("a disk that is full takes what was learned, and nothing else", () => {
  const setFact = () => {
    throw Object.assign(new Error("database or disk is full"), { code: "SQLITE_FULL" });
  };
  const full = { ...ctx, journal: { ...ctx.journal, setFact } };
  learnPace(full, record(), { modelMs: 1, restMs: 1 });
  learnClaimLife(full, 5000);
  expect(isTooSlow()).toBe(false);
});

test("how long claims last is learned from the first answer to one, by the coordinator's clock", async () => {
  const claimDeadline = clock.now() / 1000 + 60;
  const claim = async () => ({ kpHighHandle: 1n, kpLowHandle: 2n, claimDeadline });
  // Its clock is 15 s behind this machine's, so that its deadline comes 15 s later than it seems.
  const icl = { ...ctx.icl, claim, clockOffset: () => 15_000 };
  await claimJob({ ...ctx, icl }, record(), new AbortController().signal);
  learn(80_000, 80_000, 80_000);
  expect(reasonTooSlow(ctx, "verifier", modelId)).toEndWith("a claim lasts 75 s");
  await claimJob({ ...ctx, icl: { ...icl, clockOffset: () => 900_000 } }, record(), new AbortController().signal);
  expect(reasonTooSlow(ctx, "verifier", modelId)).toEndWith("a claim lasts 75 s");
});

describe("the model", () => {
  const answer = { text: "a", promptTokens: 1, outputTokens: 1, finishReason: "stop", determinismClass: "c", ms: 1 };
  const run = (leftMs: number, answers: () => Promise<Generation>) => {
    let asked = 0;
    const inference = {
      ...ctx.inference,
      generate: () => {
        asked++;
        return answers();
      },
    };
    const claim = { kpHighHandle: 1n, kpLowHandle: 2n, claimDeadline: (clock.now() + leftMs + 2000) / 1000 };
    const job = { key, record: record(), claim, log: ctx.log, startedAt: clock.now(), modelDone: () => {} };
    const outcome = generate({ ...ctx, inference }, job, "prompt", new AbortController().signal).then(
      () => "answered",
      (error: unknown) => errorCode(error),
    );
    return outcome.then((code) => ({ code, asked }));
  };
  const answers = async () => answer as Generation;

  test("is not started when less time is left than its fastest answer took", async () => {
    learn(20_000, 30_000, 10_000);
    expect(fastestAnswerMs(ctx, "verifier", modelId)).toBe(10_000);
    expect(await run(9000, answers)).toEqual({ code: "CLAIM_TOO_SHORT", asked: 0 });
    expect(await run(11_000, answers)).toEqual({ code: "answered", asked: 1 });
  });

  test("is started however little is left while its pace is not known", async () => {
    learn(20_000, 30_000);
    expect(await run(1000, answers)).toEqual({ code: "answered", asked: 1 });
  });

  test("is known as slow after its answers were cut off by the end of their claims", async () => {
    const cutOff = async (): Promise<Generation> => {
      clock.advance(298_000);
      throw new BlfError({ code: "DEADLINE_PASSED", message: "over", hint: "none" });
    };
    for (let job = 0; job < 3; job++) {
      expect(isTooSlow()).toBe(false);
      expect((await run(298_000, cutOff)).code).toBe("DEADLINE_PASSED");
    }
    expect(isTooSlow()).toBe(true);
  });
});
