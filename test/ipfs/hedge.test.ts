import { describe, expect, test } from "bun:test";
import { type HedgeOptions, hedge } from "../../src/ipfs/hedge.ts";
import { manualClock } from "../helpers/manual-clock.ts";

/** Attempts that end when the test says so. */
function controlled(count: number) {
  const started: number[] = [];
  const aborted: number[] = [];
  const ends = Array.from({ length: count }, () => Promise.withResolvers<string>());
  const attempts = ends.map((end, index) => (signal: AbortSignal) => {
    started.push(index);
    signal.addEventListener("abort", () => {
      aborted.push(index);
      end.reject(signal.reason);
    });
    return end.promise;
  });
  return { attempts, ends, started, aborted };
}

/** Lets everything that can go on go on. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

function run(count: number, options: Partial<HedgeOptions> = {}) {
  const clock = manualClock();
  const control = controlled(count);
  return { clock, ...control, result: hedge(control.attempts, { delayMs: 100, clock, ...options }) };
}

describe("hedge", () => {
  test("one that answers at once is the only one asked", async () => {
    const { ends, result, started, clock } = run(3);
    ends[0]!.resolve("first");
    expect(await result).toEqual({ ok: true, value: "first" });
    expect(started).toEqual([0]);
    await settle();
    expect(clock.sleeping()).toEqual([]);
  });

  test("a slow one is joined by the next, and the loser is aborted", async () => {
    const { ends, result, started, aborted, clock } = run(3);
    await settle();
    expect([started, clock.sleeping()]).toEqual([[0], [100]]);
    clock.advance(100);
    await settle();
    expect(started).toEqual([0, 1]);
    ends[1]!.resolve("second");
    expect(await result).toEqual({ ok: true, value: "second" });
    expect([started, aborted]).toEqual([
      [0, 1],
      [0, 1],
    ]);
  });

  test("a slow one may still win", async () => {
    const { ends, result, clock } = run(2);
    clock.advance(100);
    await settle();
    ends[0]!.resolve("first");
    expect(await result).toEqual({ ok: true, value: "first" });
  });

  test("a failure starts the next one without waiting", async () => {
    const { ends, result, started, clock } = run(3);
    ends[0]!.reject(new Error("0"));
    await settle();
    expect(started).toEqual([0, 1]);
    clock.advance(100);
    await settle();
    ends[1]!.reject(new Error("1"));
    await settle();
    expect(started).toEqual([0, 1, 2]);
    ends[2]!.resolve("third");
    expect(await result).toEqual({ ok: true, value: "third" });
  });

  test("when all fail the errors are in the order of the attempts", async () => {
    const { ends, result, clock } = run(2);
    clock.advance(100);
    await settle();
    ends[1]!.reject(new Error("1"));
    await settle();
    ends[0]!.reject(new Error("0"));
    expect(await result).toEqual({ ok: false, errors: [new Error("0"), new Error("1")] });
    const none = await hedge([], { delayMs: 1, clock });
    expect(none).toEqual({ ok: false, errors: [] });
  });

  test("the caller's signal ends everything with its reason", async () => {
    const controller = new AbortController();
    const { result, started, aborted } = run(3, { signal: controller.signal });
    controller.abort(new Error("deadline"));
    await expect(result).rejects.toThrow("deadline");
    expect([started, aborted]).toEqual([[0], [0]]);
    const late = controlled(1);
    const ended = hedge(late.attempts, { delayMs: 1, clock: manualClock(), signal: controller.signal });
    await expect(ended).rejects.toThrow("deadline");
    expect(late.started).toEqual([]);
  });
});
