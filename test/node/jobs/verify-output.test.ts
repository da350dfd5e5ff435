import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildTinyModel } from "../../../native/tiny-model.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { BlfError } from "../../../src/lib/errors.ts";
import type { NodeContext } from "../../../src/node/context.ts";
import { createInference, type Inference } from "../../../src/node/inference.ts";
import { createScheduler } from "../../../src/node/scheduler.ts";
import { modelId, startWorld, type World, type WorldJob, type WorldNode } from "../world.ts";

setDefaultTimeout(60_000);

let directory: string;
let world: World;
/** Has a GGUF in the place of the mock, and looks at its answers again. */
let leader: WorldNode;
let verifier: WorldNode;
let inference: Inference;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "blf-verify-"));
  const path = join(directory, "tiny.gguf");
  writeFileSync(path, buildTinyModel({ seed: 5, type: "q8_0" }));
  world = await startWorld();
  const models = { [modelId]: { path, max_tokens: 24 } };
  leader = await world.node({ config: { mock_model_ids: [], models, engine: { verify_output: true, threads: 1 } } });
  verifier = await world.node();
  inference = createInference(leader.context().config, leader.log.log, systemClock);
});
afterAll(async () => {
  await inference?.close();
  await world?.stop();
  rmSync(directory, { recursive: true, force: true });
});

const recordOf = (job: WorldJob) => leader.journal.find({ taskId: job.taskId, role: "leader" })!;
const seatOf = (job: WorldJob) =>
  world.devnet.coordinator
    .jobs()
    .find(({ taskId }) => taskId === job.taskId)!
    .nodes.find(({ address }) => address === leader.address)!;

/** Leads one job to its end. */
async function lead(changes: Partial<NodeContext> = {}, taken: (usesModel: boolean) => void = () => {}) {
  const job = await world.job([leader, verifier]);
  const own = { inference, ...changes };
  const looking: Inference = {
    ...own.inference,
    verify: (...parameters) => {
      taken(scheduler.running()[0]!.usesModel);
      return own.inference.verify(...parameters);
    },
  };
  const context = leader.context({ ...own, inference: looking });
  const scheduler = createScheduler(context, { onRoom: () => {} }, new AbortController().signal);
  scheduler.offer([await job.assignment(leader)]);
  await scheduler.drain();
  return job;
}

test("an answer that the model gives again is submitted, and was looked at while it was uploaded", async () => {
  const [uploading, verifying] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const { uploader } = leader.context();
  const meeting: Partial<NodeContext> = {
    uploader: {
      upload: async (...parameters) => {
        uploading.resolve();
        await verifying.promise;
        return uploader!.upload(...parameters);
      },
    },
    inference: {
      ...inference,
      verify: async (...parameters) => {
        verifying.resolve();
        await uploading.promise;
        return inference.verify(...parameters);
      },
    },
  };
  let wasTaken: boolean | undefined;
  const job = await lead(meeting, (usesModel) => {
    wasTaken = usesModel;
  });
  const record = recordOf(job);
  expect(record).toMatchObject({ state: "submitted", failureCode: undefined });
  expect(Object.keys(record.timings)).toContain("verify-output");
  expect(seatOf(job)).toMatchObject({ state: "answered", commitment: record.commitment! });
  expect(wasTaken).toBe(true);
  const text = await world.readAnswer(job.taskId, record.outputCid!);
  expect(text.length).toBeGreaterThan(20);
  const lines = leader.log.lines({ message: "output verified", jobId: job.taskId });
  expect(lines).toMatchObject([{ level: "info", model: modelId }]);
  for (const plain of [text, job.prompt]) expect(leader.log.text()).not.toContain(plain);
});

test("an answer that was changed on its way fails the job, and nothing of it is submitted", async () => {
  let given = "";
  const generate: Inference["generate"] = async (...parameters) => {
    const generation = await inference.generate(...parameters);
    given = generation.text.replace(/(\w+)\s*$/, "tampered");
    expect(given).not.toBe(generation.text);
    return { ...generation, text: given };
  };
  const job = await lead({ inference: { ...inference, generate } });
  expect(recordOf(job)).toMatchObject({ state: "failed", failureCode: "OUTPUT_NOT_REPRODUCED", commitment: undefined });
  expect(leader.journal.commitments().map(({ taskId }) => taskId)).not.toContain(job.taskId);
  expect(seatOf(job)).toMatchObject({ commitment: undefined, agreed: false });
  expect(leader.log.lines({ message: "job failed", jobId: job.taskId })).toMatchObject([
    { level: "error", code: "OUTPUT_NOT_REPRODUCED" },
  ]);
  for (const plain of [given, job.prompt]) expect(leader.log.text()).not.toContain(plain);
});

test("an engine that crashes over the answer is not asked again", async () => {
  const crash = new BlfError({ code: "ENGINE_CRASHED", message: "it crashed", hint: "none" });
  const verify = () => Promise.reject(crash);
  const job = await lead({ inference: { ...inference, verify } });
  expect(recordOf(job)).toMatchObject({ state: "failed", failureCode: "ENGINE_CRASHED", engineCrashes: 1 });
  expect(seatOf(job).commitment).toBeUndefined();
});

test("nothing is looked at again unless it is asked for, nor where only a second answer could tell", async () => {
  const { config } = leader.context();
  const notAsked = { ...config, engine: { ...config.engine, verify_output: false } };
  const mock = createInference({ ...config, models: {}, mock_model_ids: [modelId] }, leader.log.log, systemClock);
  for (const changes of [{ config: notAsked }, { inference: mock }]) {
    const job = await lead(changes, () => expect.unreachable());
    expect(recordOf(job).state).toBe("submitted");
    expect(Object.keys(recordOf(job).timings)).not.toContain("verify-output");
  }
});
