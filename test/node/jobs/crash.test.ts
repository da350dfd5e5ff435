import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { commitment } from "../../../src/crypto/commitment.ts";
import type { Assignment, Role } from "../../../src/icl/wire.ts";
import { mockOutput } from "../../../src/inference/mock.ts";
import type { NodeContext } from "../../../src/node/context.ts";
import { createScheduler } from "../../../src/node/scheduler.ts";
import { modelId, startWorld, type World, type WorldJob, type WorldNode } from "../world.ts";
import { type Crash, createCrash } from "./crash.ts";

setDefaultTimeout(180_000);

let world: World;
let leader: WorldNode;
let verifier: WorldNode;

beforeAll(async () => {
  world = await startWorld();
  leader = await world.node();
  verifier = await world.node();
});
afterAll(() => world.stop());

/** One life of the daemon: it resumes, takes what is offered, and ends when it has nothing to do or crashes. */
async function live(ctx: NodeContext, assignments: Assignment[], crash?: Crash): Promise<void> {
  const scheduler = createScheduler(ctx, { onRoom: () => {} }, new AbortController().signal);
  try {
    scheduler.resume();
    scheduler.offer(assignments);
  } catch (error) {
    if (!crash?.isGone()) throw error;
  }
  await Promise.race([crash?.gone ?? new Promise(() => {}), scheduler.drain()]);
}

async function buy(role: Role): Promise<{ node: WorldNode; job: WorldJob; assignment: Assignment }> {
  const job = await world.job([leader, verifier]);
  const node = role === "leader" ? leader : verifier;
  if (role === "verifier") await live(leader.context(), [await job.assignment(leader)]);
  return { node, job, assignment: await job.assignment(node) };
}

async function pointsOf(role: Role): Promise<string[]> {
  const { node, assignment } = await buy(role);
  const crash = createCrash();
  await live(crash.around(node.context()), [assignment], crash);
  expect(node.journal.find({ taskId: assignment.jobId, role })?.state).toBe("submitted");
  return crash.passed;
}

async function crashAndRestart(role: Role, point: string): Promise<void> {
  const { node, job, assignment } = await buy(role);
  const crash = createCrash(point);
  await live(crash.around(node.context()), [assignment], crash);
  if (!crash.isGone()) throw new Error("this point was never reached");
  await live(node.context(), [assignment]);

  const key = { taskId: job.taskId, role };
  const record = node.journal.find(key);
  expect({ state: record?.state, failureCode: record?.failureCode }).toEqual({
    state: "submitted",
    failureCode: undefined,
  });
  const promised = node.journal.commitments().filter(({ taskId }) => taskId === job.taskId);
  expect(promised.map((entry) => entry.commitment)).toEqual([record!.commitment!]);
  const text = mockOutput(modelId, job.prompt);
  expect(record!.commitment).toBe(commitment(record!.outputCid!, text));
  const snapshot = world.devnet.coordinator.jobs().find(({ taskId }) => taskId === job.taskId)!;
  expect(snapshot.nodes.find(({ address }) => address === node.address)).toMatchObject({
    state: "answered",
    commitment: record!.commitment!,
  });
  if (role === "verifier") return expect(snapshot.status).toBe("ACCEPTED");
  expect(await world.storedOutputKeys(job.taskId)).toBe(1);
  // The buyer opens the output with the key on chain, so it is the key that sealed it.
  expect(snapshot.outputCid).toBe(record!.outputCid!);
  expect(await world.readAnswer(job.taskId, record!.outputCid!)).toBe(text);
}

/** What a job must be interrupted at, at the least, for this test to mean anything. */
const expected: Record<Role, string[]> = {
  leader: [
    "begin",
    "claim",
    "decrypt",
    "download",
    "take",
    "update",
    "generate",
    "upload",
    "sign",
    "save-pending",
    "commit",
    "submit",
  ],
  verifier: ["begin", "claim", "decrypt", "download", "generate", "status", "commit", "submit"],
};

test.each([
  "leader",
  "verifier",
] as const)("a %s that crashes anywhere ends its job as if nothing had been", async (role) => {
  const points = await pointsOf(role);
  for (const name of expected[role])
    expect(points).toEqual(expect.arrayContaining([`${name}:before`, `${name}:after`]));
  const failures: Record<string, string> = {};
  for (const point of points)
    await crashAndRestart(role, point).catch((error: unknown) => {
      failures[point] = String((error as Error).message ?? error);
    });
  expect(failures).toEqual({});
});
