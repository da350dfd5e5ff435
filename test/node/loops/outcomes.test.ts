import { expect, test } from "bun:test";
import { BlfError } from "../../../src/lib/errors.ts";
import { startOutcomeLoop } from "../../../src/node/loops/outcomes.ts";
import { assignment, commitmentA, commitmentB } from "../journal/fixtures.ts";
import { stubContext } from "../stub-context.ts";

type Role = "leader" | "verifier";
type Shown = { status: string; leaderCommitment?: string };

/** What the journal and the log say of a submitted job after the coordinator was asked about it. */
async function asked(role: Role, shown: Shown | string, options: { ageMs?: number } = {}) {
  const questions: string[] = [];
  const { ctx, clock, log } = await stubContext({
    icl: {
      jobStatus: async (taskId: string) => {
        questions.push(taskId);
        if (typeof shown === "string") throw new BlfError({ code: shown, message: "no", hint: "none" });
        return { outputCid: undefined, leaderCommitment: undefined, ...shown };
      },
    },
  });
  const key = { taskId: "0x01", role };
  const way = role === "leader" ? (["generated", "uploaded", "key-stored"] as const) : (["generated"] as const);
  ctx.journal.begin(assignment(key.taskId, role));
  for (const state of ["claimed", ...way] as const) ctx.journal.advance(key, state);
  ctx.journal.commit(key, commitmentA);
  ctx.journal.advance(key, "committed", { commitment: commitmentA });
  ctx.journal.advance(key, "submitted");
  ctx.journal.begin(assignment("0x02", role));
  if (options.ageMs) await clock.run(options.ageMs);
  const stop = new AbortController();
  const loop = startOutcomeLoop(ctx, stop.signal);
  await clock.run(1000);
  stop.abort();
  await loop.finished;
  const { state, failureCode } = ctx.journal.find(key)!;
  const errors = log.lines({ level: "error" }).map(({ code, hint }) => [code, typeof hint]);
  return { state, failureCode, questions, errors };
}

const ends: [Role, Shown, string, string | undefined][] = [
  ["leader", { status: "ACCEPTED", leaderCommitment: commitmentA }, "settled", undefined],
  ["leader", { status: "REJECTED", leaderCommitment: commitmentA }, "failed", "QUORUM_REJECTED"],
  ["leader", { status: "TIMEDOUT" }, "failed", "QUORUM_TIMED_OUT"],
  ["verifier", { status: "accepted", leaderCommitment: commitmentA }, "settled", undefined],
  ["verifier", { status: "ACCEPTED" }, "settled", undefined],
  ["verifier", { status: "ACCEPTED", leaderCommitment: commitmentB }, "failed", "QUORUM_DISSENT"],
  ["verifier", { status: "REJECTED", leaderCommitment: commitmentB }, "settled", undefined],
  ["verifier", { status: "REJECTED", leaderCommitment: commitmentA }, "failed", "QUORUM_REJECTED"],
];

test.each(ends)("%s, when the coordinator says %o: %s %s", async (role, shown, state, code) => {
  const seen = await asked(role, shown);
  expect(seen).toMatchObject({ state, failureCode: code, questions: ["0x01"] });
  expect(seen.errors).toEqual(code ? [[code, "string"]] : []);
});

test.each(["QUEUED", "DISPUTED", "SOMETHING_NEW"])("a job that is %s is asked about again", async (status) => {
  const { state, questions } = await asked("leader", { status });
  expect([state, questions]).toEqual(["submitted", ["0x01"]]);
});

test("a coordinator that has forgotten the job, or is away, changes nothing", async () => {
  for (const code of ["ICL_UNKNOWN", "ICL_UNREACHABLE"]) expect((await asked("leader", code)).state).toBe("submitted");
});

test("a job that nobody decided on for a day is not asked about any more", async () => {
  const { state, questions } = await asked("leader", { status: "ACCEPTED" }, { ageMs: 25 * 3_600_000 });
  expect([state, questions]).toEqual(["submitted", []]);
});

test("jobs that are never decided keep no others waiting, and the newest come first", async () => {
  const questions: string[] = [];
  const { ctx, clock } = await stubContext({
    icl: {
      jobStatus: async (taskId: string) => {
        questions.push(taskId);
        return { status: "QUEUED", outputCid: undefined, leaderCommitment: undefined };
      },
    },
  });
  const submit = async (number: number) => {
    const key = { taskId: `0x${number}`, role: "verifier" } as const;
    ctx.journal.begin(assignment(key.taskId, key.role));
    for (const state of ["claimed", "generated"] as const) ctx.journal.advance(key, state);
    ctx.journal.commit(key, commitmentA);
    ctx.journal.advance(key, "committed", { commitment: commitmentA });
    ctx.journal.advance(key, "submitted");
    await clock.run(1);
    return key.taskId;
  };
  const jobs: string[] = [];
  for (let number = 1; number <= 45; number++) jobs.push(await submit(number));
  const stop = new AbortController();
  const loop = startOutcomeLoop(ctx, stop.signal);
  const askedAbout = async (count: number) => {
    while (questions.length < count) await clock.run(10_000);
    return questions.splice(0);
  };
  const newestFirst = jobs.toReversed();
  expect(await askedAbout(20)).toEqual(newestFirst.slice(0, 20));
  const latest = await submit(46);
  expect(await askedAbout(20)).toEqual([latest, ...newestFirst.slice(20, 39)]);
  // The last that nobody asked about, and then those of the first round.
  expect(await askedAbout(20)).toEqual([...newestFirst.slice(39), ...newestFirst.slice(0, 14)]);
  stop.abort();
  await loop.finished;
});
