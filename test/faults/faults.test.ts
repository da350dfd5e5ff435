import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { executable, faultyExecutable, isBuilt } from "../e2e/executable.ts";
import { playRounds } from "./crew.ts";
import { planOf } from "./plan.ts";
import { nameOf, pointsOf } from "./points.ts";
import { isBad, judge } from "./verdict.ts";
import { type FaultWorld, startWorld } from "./world.ts";

test("a seed plans each point of each role once, and the same ones every time", () => {
  for (const role of ["leader", "verifier"] as const) {
    const planned = planOf(7).flatMap((round) => round[role] ?? []);
    expect(planned.map(({ point }) => nameOf(point)).sort()).toEqual(pointsOf(role).map(nameOf).sort());
  }
  expect(planOf(7)).toEqual(planOf(7));
  expect(planOf(8)).not.toEqual(planOf(7));
});

/** `make faults` is the long version. */
describe.skipIf(process.platform === "win32" || !isBuilt)("kill -9 at a point of a job", () => {
  let world: FaultWorld;

  beforeAll(async () => {
    world = await startWorld(faultyExecutable);
  }, 60_000);

  afterAll(() => world.stop());

  test("loses no job, makes no second commitment and no second transaction", async () => {
    // By the time, so that every run looks at others; the failure names it.
    const seed = Math.floor(Date.now() / 1000);
    const rounds = planOf(seed, { half: true }).map(({ leader, verifier, ...round }) => ({
      ...round,
      leader: leader && { ...leader, pauseMs: leader.pauseMs % 300 },
      verifier: verifier && { ...verifier, pauseMs: verifier.pauseMs % 300 },
    }));
    const crews = ["mock", "mock", "mock"] as const;
    const played = await Promise.all(crews.map((model) => playRounds(world, model, () => rounds.shift())));
    const judged = await judge(world, played.flat());
    expect(judged.length).toBe(25);
    expect({ seed, bad: judged.filter(isBad) }).toEqual({ seed, bad: [] });
  }, 300_000);

  test("around a failure leaves the job failed, and the node takes the next one", async () => {
    const [leader, verifier] = await world.pair("mock");
    const quorum = [leader, verifier];
    for (const moment of ["before", "after"] as const) {
      const { taskId } = await world.buy({ quorum, model: "mock", prompt: "", isSpoiled: true });
      const killed = leader.live(`kill:${moment}:failed:leader:${taskId}`);
      expect(await killed.ended).toBe(true);
      const next = await world.buy({ quorum, model: "mock", prompt: `after ${taskId}` });
      const lives = [leader.live(undefined), verifier.live(undefined)];
      expect(await next.over).toBe("accepted");
      for (const life of lives) life.kill("SIGTERM");
      await Promise.all(lives.map(({ ended }) => ended));
      expect(leader.read(`SELECT state, failure_code FROM jobs WHERE task_id = '${taskId}'`)).toEqual([
        { state: "failed", failure_code: "BLOB_AUTHENTICATION_FAILED" },
      ]);
      expect(world.gate.submissions.filter((one) => one.taskId === taskId)).toEqual([]);
    }
  }, 120_000);
});

describe.skipIf(!isBuilt)("failpoints", () => {
  const marks = ["kill:${", "`transaction-${"];

  test("are in the test build and not in the product", () => {
    for (const mark of marks) {
      expect(readFileSync(faultyExecutable).includes(mark)).toBe(true);
      expect(readFileSync(executable).includes(mark)).toBe(false);
    }
  });
});
