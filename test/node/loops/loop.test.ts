import { describe, expect, test } from "bun:test";
import { BlfError } from "../../../src/lib/errors.ts";
import { type LoopOptions, startLoop } from "../../../src/node/loops/loop.ts";
import { createMetrics } from "../../../src/node/metrics.ts";
import { captureLog } from "../../helpers/capture-log.ts";
import { type ManualClock, macrotask, manualClock } from "../../helpers/manual-clock.ts";

/** What the loop does in its `count`th run, counted from 1. */
type Run = (clock: ManualClock, count: number, signal: AbortSignal) => Promise<void>;

/** A loop under a clock of its own; `starts` are the times of its runs since the beginning, in milliseconds. */
function watch(options: Partial<Omit<LoopOptions, "run">> & { run?: Run }, randomByte = 0) {
  const clock = manualClock();
  const log = captureLog(clock);
  const metrics = createMetrics();
  const stop = new AbortController();
  const begin = clock.now();
  const starts: number[] = [];
  const random = (length: number) => new Uint8Array(length).fill(randomByte);
  const loop = startLoop(
    { clock, log: log.log, metrics, random },
    {
      name: "test",
      periodMs: 10_000,
      ...options,
      run: async (signal) => {
        starts.push(clock.now() - begin);
        await options.run?.(clock, starts.length, signal);
      },
    },
    stop.signal,
  );
  return { clock, log, metrics, loop, starts, begin, stop: () => stop.abort(new DOMException("stop", "AbortError")) };
}

const failure = () => Promise.reject(new BlfError({ code: "ICL_DOWN", message: "It is down", hint: "Wait." }));

describe("the period", () => {
  test("is kept from start to start, however long a run takes", async () => {
    const durations = [0, 3000, 9999, 0, 500];
    const watched = watch({ run: (clock, count) => clock.sleep(durations[count - 1] ?? 0) });
    await watched.clock.run(50_000);
    expect(watched.starts).toEqual([0, 10_000, 20_000, 30_000, 40_000, 50_000]);
    watched.stop();
    await watched.loop.finished;
  });

  test("begins anew after a run that was longer than it, without catching up", async () => {
    const watched = watch({ run: (clock, count) => clock.sleep(count === 1 ? 35_000 : 0) });
    await watched.clock.run(60_000);
    expect(watched.starts).toEqual([0, 35_000, 45_000, 55_000]);
    watched.stop();
  });

  test.each([
    [0, 10_000],
    [128, 8996],
    [255, 8000],
  ])("gets shorter by its jitter, and never longer (random byte %i)", async (byte, expected) => {
    const watched = watch({ jitter: 0.2 }, byte);
    await watched.clock.run(10_000);
    expect(watched.starts[1]!).toBeWithin(expected - 10, expected + 10);
    watched.stop();
  });
});

test("a clock that is set back during a run does not make the next one late", async () => {
  let set = 0;
  const manual = manualClock();
  const clock = { now: () => manual.now() + set, sleep: manual.sleep };
  const starts: number[] = [];
  const stop = new AbortController();
  const begin = manual.now();
  const run = async () => {
    starts.push(manual.now() - begin);
    if (starts.length === 2) set = -3_600_000;
  };
  const random = (length: number) => new Uint8Array(length);
  const { log } = captureLog(clock);
  startLoop({ clock, log, metrics: createMetrics(), random }, { name: "test", periodMs: 10_000, run }, stop.signal);
  await manual.run(40_000);
  expect(starts).toEqual([0, 10_000, 20_000, 30_000, 40_000]);
  stop.abort();
});

describe("a failure", () => {
  test("is tried again after 1, 2, 4 … s, at most a period, and then the period is back", async () => {
    let broken = true;
    const watched = watch({ periodMs: 60_000, run: () => (broken ? failure() : Promise.resolve()) }, 255);
    await watched.clock.run(200_000);
    const gaps = () => watched.starts.slice(1).map((start, index) => start - watched.starts[index]!);
    for (const [index, gap] of gaps().entries()) {
      const nominal = Math.min(60_000, 1000 * 2 ** index);
      expect(gap).toBeWithin(nominal * 0.8, nominal + 1);
    }
    expect(gaps().length).toBeGreaterThanOrEqual(7);
    expect(watched.loop.state()).toMatchObject({
      name: "test",
      lastSuccess: undefined,
      lastError: "ICL_DOWN",
      failures: watched.starts.length,
    });
    expect(watched.log.lines({ level: "warn", loop: "test" })).toMatchObject([
      { message: "loop failed and will try again", code: "ICL_DOWN", error: "It is down" },
    ]);
    broken = false;
    await watched.clock.run(60_000);
    const recovered = watched.starts.at(-1)!;
    expect(watched.loop.state()).toEqual({
      name: "test",
      lastSuccess: watched.begin + recovered,
      lastError: undefined,
      failures: 0,
    });
    await watched.clock.run(120_000);
    expect(gaps().slice(-2)).toEqual([60_000, 60_000]);
    expect(watched.log.lines({ message: "loop works again" })).toHaveLength(1);
    const text = await watched.metrics.registry.metrics();
    expect(text).toContain('blindference_loop_runs_total{loop="test",outcome="success"} 3');
    expect(text).toMatch(/blindference_loop_runs_total\{loop="test",outcome="failure"\} [0-9]+/);
    watched.stop();
  });

  test("nobody expected is logged without its text", async () => {
    const watched = watch({ run: () => Promise.reject(new Error("canary")) });
    await watched.clock.run(1);
    expect(watched.loop.state().lastError).toBe("INTERNAL");
    expect(watched.log.text()).not.toContain("canary");
    expect(watched.log.lines({ level: "warn" })).toHaveLength(1);
    watched.stop();
  });
});

describe("a poke", () => {
  test("ends the wait at once, and the period counts from there", async () => {
    const watched = watch({});
    await watched.clock.run(4000);
    watched.loop.poke();
    await watched.clock.run(12_000);
    expect(watched.starts).toEqual([0, 4000, 14_000]);
    watched.stop();
  });

  test("during a run leads to one more run right after it", async () => {
    const watched = watch({ run: (clock, count) => clock.sleep(count === 1 ? 2000 : 0) });
    await watched.clock.run(1000);
    watched.loop.poke();
    watched.loop.poke();
    await watched.clock.run(5000);
    expect(watched.starts).toEqual([0, 2000]);
    watched.stop();
  });
});

describe("the end", () => {
  test("comes at once while it waits", async () => {
    const watched = watch({});
    await watched.clock.run(100);
    watched.stop();
    await watched.loop.finished;
    await watched.clock.run(60_000);
    expect(watched.starts).toEqual([0]);
    expect(watched.clock.sleeping()).toEqual([]);
  });

  test("reaches a run that is under way, which is no failure", async () => {
    const watched = watch({ run: (clock, _count, signal) => clock.sleep(1_000_000, signal) });
    await macrotask();
    watched.stop();
    await watched.loop.finished;
    expect(watched.loop.state().failures).toBe(0);
    expect(watched.log.text()).toBe("");
  });
});
