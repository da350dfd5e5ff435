import { expect, test } from "bun:test";
import { openJournal } from "../../../src/node/journal/journal.ts";
import { finishedStates, jobStates } from "../../../src/node/journal/states.ts";
import { expectCode } from "../../crypto/expect-code.ts";
import { manualClock } from "../../helpers/manual-clock.ts";
import { allStates, assignment, legal, pathTo } from "./fixtures.ts";

const key = { taskId: "0x01", role: "leader" } as const;

test("the states are those of the design", () => {
  expect([...jobStates]).toEqual(allStates);
  expect([...finishedStates].sort()).toEqual(["failed", "settled", "submitted"]);
});

for (const from of allStates)
  for (const to of allStates)
    test(`${from} → ${to} is ${legal[from].includes(to) ? "legal" : "refused, and changes nothing"}`, async () => {
      const journal = openJournal(":memory:", manualClock());
      journal.begin(assignment(key.taskId));
      for (const state of pathTo[from]) journal.advance(key, state);
      expect(journal.find(key)?.state).toBe(from);
      if (legal[from].includes(to)) {
        journal.advance(key, to, { failureCode: "X" });
        expect(journal.find(key)).toMatchObject({ state: to, failureCode: "X" });
      } else {
        await expectCode(() => journal.advance(key, to, { failureCode: "X" }), "JOURNAL_ILLEGAL_TRANSITION");
        expect(journal.find(key)).toMatchObject({ state: from, failureCode: undefined });
      }
      journal.close();
    });

test("a job that was never begun goes nowhere", async () => {
  const journal = openJournal(":memory:", manualClock());
  await expectCode(() => journal.advance(key, "claimed"), "JOURNAL_UNKNOWN_JOB");
  expect(journal.find(key)).toBeUndefined();
  journal.close();
});
