import { describe, expect, test } from "bun:test";
import type { Claim } from "../../../src/icl/wire.ts";
import { BlfError, errorCode } from "../../../src/lib/errors.ts";
import { claimJob, endOfClaim } from "../../../src/node/jobs/claim.ts";
import { assignment } from "../journal/fixtures.ts";
import { stubContext } from "../stub-context.ts";

const key = { taskId: "0x01", role: "verifier" } as const;

type Answer = () => Promise<Claim>;
type Options = {
  /** What the coordinator says, the last of it for ever; without any it cannot be reached. */
  answers?: (granted: Answer) => Answer[];
  /** Of a claim of an earlier run, in seconds from now. */
  deadline?: number;
  offset?: number;
};

const failure = (code: string, retryable = false) => {
  return () => Promise.reject(new BlfError({ code, message: "no", hint: "none", retryable }));
};
const grant = (granted: Answer) => [granted];

async function claiming({ answers = () => [], deadline, offset }: Options) {
  const asked: number[] = [];
  let said: Answer[] = [];
  const { ctx, clock, log } = await stubContext({
    icl: {
      clockOffset: () => offset,
      claim: () => {
        const answer = said[Math.min(asked.length, said.length - 1)] ?? failure("ICL_UNREACHABLE", true);
        asked.push(clock.now());
        return answer();
      },
    },
    // Whole milliseconds, as a real clock counts them.
    overrides: { random: (length) => new Uint8Array(length) },
  });
  const begin = clock.now();
  const seconds = Math.floor(begin / 1000);
  said = answers(async () => ({ kpHighHandle: 1n, kpLowHandle: 2n, claimDeadline: seconds + 300 }));
  ctx.journal.begin(assignment(key.taskId, key.role));
  if (deadline !== undefined) ctx.journal.advance(key, "claimed", { claimDeadline: seconds + deadline });
  const outcome = claimJob(ctx, ctx.journal.find(key)!, new AbortController().signal).then(
    (claim) => claim.claimDeadline - seconds,
    (error: unknown) => errorCode(error),
  );
  return { ctx, clock, log, asked: () => asked.map((time) => time - begin), outcome };
}

async function run(options: Options, ms: number) {
  const c = await claiming(options);
  await c.clock.run(ms);
  return { ...c, outcome: await Promise.race([c.outcome, "still asking"]) };
}

describe("a claim", () => {
  test.each([
    "ICL_NOT_JSON",
    "ICL_UNEXPECTED_ANSWER",
    "ICL_BODY_TOO_LARGE",
    "ICL_TIMEOUT",
    "ICL_FAILED",
  ])("whose answer was lost as %s is sent again, since it may have arrived", async (code) => {
    const lost = failure(code, /TIMEOUT|FAILED/.test(code));
    const { outcome, asked } = await run({ answers: (granted) => [lost, granted] }, 5000);
    expect(outcome).toBe(300);
    expect(asked()).toHaveLength(2);
    expect(asked()[1]!).toBeGreaterThan(1000);
  });

  test("is repeated through an outage for as long as it may be in force, and then given up", async () => {
    const c = await claiming({});
    await c.clock.run(299_000);
    expect(await Promise.race([c.outcome, "still asking"])).toBe("still asking");
    expect(c.asked().length).toBeGreaterThan(25);
    await c.clock.run(2000);
    expect(await c.outcome).toBe("CLAIM_UNANSWERED");
    expect(c.ctx.journal.find(key)?.state).toBe("assigned");
  });

  test("is repeated for a while to a coordinator that does not know the node", async () => {
    const { outcome } = await run({ answers: (granted) => [failure("ICL_UNKNOWN"), granted] }, 5000);
    expect(outcome).toBe(300);
    const never = await run({ answers: () => [failure("ICL_UNKNOWN")] }, 30_000);
    expect(never.outcome).toBe("ICL_UNKNOWN");
    expect(never.asked().at(-1)!).toBeLessThan(25_000);
  });

  test("that is refused is not repeated", async () => {
    const { outcome, asked } = await run({ answers: () => [failure("ICL_REJECTED")] }, 1000);
    expect(outcome).toBe("ICL_REJECTED");
    expect(asked()).toHaveLength(1);
  });
});

describe("a claim of an earlier run", () => {
  test.each([-3600, 0, 1])("is not made anew when it is over (%i s)", async (deadline) => {
    const { outcome, asked } = await run({ deadline }, 1000);
    expect(outcome).toBe("DEADLINE_PASSED");
    expect(asked()).toEqual([]);
  });

  test("is asked about until its own deadline, however long the coordinator is away", async () => {
    const { outcome, asked } = await run({ deadline: 100 }, 200_000);
    expect(outcome).toBe("DEADLINE_PASSED");
    expect(asked().at(-1)!).toBeWithin(85_000, 98_001);
  });

  test("keeps its deadline although the coordinator gives a later one", async () => {
    const { outcome } = await run({ deadline: 50, answers: grant }, 1000);
    expect(outcome).toBe(50);
  });
});

describe("a clock that is wrong", () => {
  test.each([600_000, -600_000])("moves the end of a claim with it (%i ms)", async (offset) => {
    const { ctx, log } = await run({ offset, answers: grant }, 1000);
    expect(endOfClaim(ctx, 1000)).toBe(1_000_000 + offset - 2000);
    expect(log.lines({ level: "warn" })).toMatchObject([{ ms: offset }]);
    // The next run goes by what this one has learned until the coordinator answers.
    const next = { ...ctx, icl: { ...ctx.icl, clockOffset: () => undefined } };
    expect(endOfClaim(next, 1000)).toBe(1_000_000 + offset - 2000);
  });

  test("ten minutes ahead, it still goes on with a claim of which half a minute is left", async () => {
    const { outcome } = await run({ deadline: 30 - 600, offset: 600_000, answers: grant }, 1000);
    expect(outcome).toBe(30 - 600);
  });
});
