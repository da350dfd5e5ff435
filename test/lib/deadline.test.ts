import { describe, expect, test } from "bun:test";
import { systemClock, unixSeconds } from "../../src/lib/clock.ts";
import { deadlineSignal } from "../../src/lib/deadline.ts";
import { errorCode } from "../../src/lib/errors.ts";
import { manualClock } from "../helpers/manual-clock.ts";

const settle = () => new Promise((resolve) => setImmediate(resolve));

describe("deadlineSignal", () => {
  test("aborts at its time and not before", async () => {
    const clock = manualClock();
    const { signal } = deadlineSignal(clock, clock.now() + 1000);
    clock.advance(999);
    await settle();
    expect(signal.aborted).toBe(false);
    clock.advance(1);
    await settle();
    expect(signal.aborted).toBe(true);
    expect(errorCode(signal.reason)).toBe("DEADLINE_PASSED");
  });

  test.each([0, 5000])("aborts at once when the time is over already (%i ms)", (ms) => {
    const clock = manualClock();
    const { signal } = deadlineSignal(clock, clock.now() - ms);
    expect(errorCode(signal.reason)).toBe("DEADLINE_PASSED");
  });

  test.each([
    [-60_000, 360_000],
    [60_000, 240_000],
    [400_000, 105_000],
  ])("follows a clock that is set by %i ms", async (byMs, expected) => {
    const clock = manualClock();
    const begin = clock.now();
    let set = 0;
    const { signal } = deadlineSignal({ now: () => clock.now() + set, sleep: clock.sleep }, begin + 300_000);
    await clock.run(100_000);
    set = byMs;
    for (let second = 0; second < 400 && !signal.aborted; second++) await clock.run(1000);
    expect(clock.now() - begin).toBeWithin(expected - 1, expected + 1001);
  });

  test("follows what is learned of its time", async () => {
    const clock = manualClock();
    let at = clock.now() + 300_000;
    const { signal } = deadlineSignal(clock, () => at);
    await clock.run(10_000);
    at -= 280_000;
    await clock.run(9000);
    expect(signal.aborted).toBe(false);
    await clock.run(6000);
    expect(errorCode(signal.reason)).toBe("DEADLINE_PASSED");
  });

  test("aborts with any of its parents, for their reason", () => {
    const clock = manualClock();
    const parents = [new AbortController(), new AbortController()];
    const { signal } = deadlineSignal(clock, clock.now() + 1000, ...parents.map((parent) => parent.signal));
    parents[1]!.abort(new Error("shutdown"));
    expect((signal.reason as Error).message).toBe("shutdown");
  });

  test("leaves nothing waiting once the work is done", async () => {
    const clock = manualClock();
    const { signal, clear } = deadlineSignal(clock, clock.now() + 1000);
    clear();
    await settle();
    expect(clock.sleeping()).toEqual([]);
    clock.advance(5000);
    await settle();
    expect(signal.aborted).toBe(false);
  });
});

describe("the system clock", () => {
  test("sleeps, and is woken by an abort with its reason", async () => {
    await systemClock.sleep(1);
    const controller = new AbortController();
    const sleeping = systemClock.sleep(60_000, controller.signal);
    controller.abort(new Error("wake"));
    await expect(sleeping).rejects.toThrow("wake");
    await expect(systemClock.sleep(60_000, controller.signal)).rejects.toThrow("wake");
  });

  test("leaves no listener on a signal that outlives the sleep", async () => {
    const { signal } = new AbortController();
    let listeners = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = ((...parameters: Parameters<typeof add>) => {
      listeners++;
      add(...parameters);
    }) as typeof add;
    signal.removeEventListener = ((...parameters: Parameters<typeof remove>) => {
      listeners--;
      remove(...parameters);
    }) as typeof remove;
    await systemClock.sleep(1, signal);
    expect(listeners).toBe(0);
  });

  test("whole seconds are rounded down", () => {
    expect(unixSeconds({ ...systemClock, now: () => 1_750_000_000_999 })).toBe(1_750_000_000);
  });
});
