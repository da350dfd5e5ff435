import { expect, test } from "bun:test";
import { startRetentionLoop } from "../../../src/node/loops/retention.ts";
import { assignment, commitmentA } from "../journal/fixtures.ts";
import { stubContext } from "../stub-context.ts";

const day = 86_400_000;

async function daysLater(retention: number, days: number) {
  const { ctx, clock } = await stubContext({ config: { journal_retention_days: retention } });
  const key = { taskId: "0x01", role: "verifier" } as const;
  ctx.journal.begin(assignment(key.taskId, key.role));
  ctx.journal.commit(key, commitmentA);
  ctx.journal.advance(key, "failed", { failureCode: "LEADER_SILENT" });
  ctx.journal.begin(assignment("0x02", key.role));
  const stop = new AbortController();
  const loop = startRetentionLoop(ctx, stop.signal);
  await clock.run(days * day);
  stop.abort();
  await loop.finished;
  const kept = ["0x01", "0x02"].filter((taskId) => ctx.journal.find({ taskId, role: key.role }));
  return { kept, commitments: ctx.journal.commitments().length };
}

test("a job that ended is forgotten when its time is over, its commitment and unfinished jobs never", async () => {
  expect(await daysLater(30, 29)).toEqual({ kept: ["0x01", "0x02"], commitments: 1 });
  expect(await daysLater(30, 32)).toEqual({ kept: ["0x02"], commitments: 1 });
});

test("with 0 days every job is kept", async () => {
  expect(await daysLater(0, 4000)).toEqual({ kept: ["0x01", "0x02"], commitments: 1 });
});
