import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createLlamaBackend } from "../../../src/inference/llama/backend.ts";
import { createEngine, type EngineModel } from "../../../src/inference/llama/engine.ts";
import type { Clock } from "../../../src/lib/clock.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { engineCommand, never, recordingLogger, temporaryDirectory } from "../fixture.ts";

/** A clock whose sleepers are woken by hand. */
function handClock() {
  const sleepers = new Set<{ ms: number; wake: () => void }>();
  const clock: Clock = {
    now: () => 0,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        const sleeper = { ms, wake: resolve };
        sleepers.add(sleeper);
        signal?.addEventListener("abort", () => {
          sleepers.delete(sleeper);
          reject(signal.reason);
        });
      }),
  };
  return { clock, sleepers, wakeAll: () => [...sleepers].forEach(({ wake }) => void wake()) };
}

describe("a model that nobody uses", () => {
  let directory: ReturnType<typeof temporaryDirectory>;
  let model: EngineModel;
  const idleUnloadMs = 60_000;

  beforeAll(() => {
    directory = temporaryDirectory();
    const path = directory.model("m.gguf", { seed: 1, type: "q8_0" });
    model = { modelId: "m", path, maxTokens: 8, gpuLayers: 0 };
  });
  afterAll(() => directory.remove());

  const open = (idle: number | undefined) => {
    const { log, entries } = recordingLogger();
    const hand = handClock();
    const engine = createEngine({ threads: 1, sequences: 2, gpu: false, log, clock: hand.clock, idleUnloadMs: idle });
    const unloads = () => entries.filter(({ message }) => message === "model unloaded: nobody asked for it").length;
    return { engine, unloads, ...hand };
  };

  test("is given up after its time, and comes back when it is asked for", async () => {
    const { engine, sleepers, wakeAll, unloads } = open(idleUnloadMs);
    const say = async () => (await engine.generate(model, "x", { signal: never })).text;
    const text = await say();
    expect([...sleepers].map(({ ms }) => ms)).toEqual([idleUnloadMs]);
    expect((await engine.load(model, never)).isFresh).toBe(false);
    wakeAll();
    while (unloads() === 0) await Bun.sleep(1);
    expect((await engine.load(model, never)).isFresh).toBe(true);
    expect(unloads()).toBe(1);
    expect(await say()).toBe(text);
    await engine.close();
    expect(sleepers.size).toBe(0);
  });

  test("stays while it answers, and its time begins anew with each answer", async () => {
    const { engine, sleepers, wakeAll, unloads } = open(idleUnloadMs);
    await engine.load(model, never);
    const duringAnswer: number[] = [];
    const onToken = () => void duringAnswer.push(sleepers.size);
    await engine.generate(model, "x", { signal: never, onToken });
    expect(new Set(duringAnswer)).toEqual(new Set([0]));
    expect(sleepers.size).toBe(1);
    expect((await engine.load(model, never)).isFresh).toBe(false);
    expect(unloads()).toBe(0);
    wakeAll();
    await engine.close();
  });

  test("stays for ever where no time is set", async () => {
    const { engine, sleepers } = open(0);
    await engine.load(model, never);
    expect(sleepers.size).toBe(0);
    expect((await engine.load(model, never)).isFresh).toBe(false);
    await engine.close();
  });

  test("is given up in the engine's process too", async () => {
    const { log, entries } = recordingLogger();
    const models = { m: { path: model.path, maxTokens: 8 } };
    const backend = createLlamaBackend({
      models,
      threads: 1,
      idleUnloadMs: 20,
      log,
      clock: systemClock,
      command: engineCommand,
    });
    const request = { modelId: "m", prompt: "x" };
    const { text } = await backend.generate(request, { signal: never });
    const unloaded = () => entries.some(({ reason }) => String(reason).includes("model unloaded"));
    while (!unloaded()) await Bun.sleep(5);
    expect((await backend.generate(request, { signal: never })).text).toBe(text);
    expect(entries.filter(({ message }) => message === "model loaded")).toHaveLength(2);
    await backend.close();
  });
});
