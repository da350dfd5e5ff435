import { describe, expect, test } from "bun:test";
import { abortable, allOrAbort } from "../../src/lib/concurrent.ts";

/** Lets everything that can go on go on. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

const open = () => new AbortController().signal;

describe("allOrAbort", () => {
  test("gives all results in the order of the tasks", async () => {
    const slow = Promise.withResolvers<number>();
    const result = allOrAbort([() => slow.promise, async () => "fast"], open());
    slow.resolve(1);
    expect(await result).toEqual([1, "fast"]);
  });

  test("a failure aborts the others, and is thrown only when they have ended", async () => {
    const events: string[] = [];
    const lastGasp = Promise.withResolvers<void>();
    const result = allOrAbort(
      [
        async () => {
          throw new Error("first");
        },
        async (signal) => {
          await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
          events.push(`aborted with ${(signal.reason as Error).message}`);
          await lastGasp.promise;
          events.push("sibling ended");
          throw new Error("second");
        },
      ],
      open(),
    ).catch((error: Error) => events.push(`thrown ${error.message}`));
    await settle();
    expect(events).toEqual(["aborted with first"]);
    lastGasp.resolve();
    await result;
    expect(events).toEqual(["aborted with first", "sibling ended", "thrown first"]);
  });

  test("a task that throws before its first await is a failure like any other", async () => {
    const failing = () => {
      throw new Error("at once");
    };
    await expect(allOrAbort([failing, async () => 1], open())).rejects.toThrow("at once");
  });

  test("the caller's abort reaches every task with its reason", async () => {
    const controller = new AbortController();
    const reasons: unknown[] = [];
    const waiting = (signal: AbortSignal) =>
      new Promise((_, reject) =>
        signal.addEventListener("abort", () => {
          reasons.push(signal.reason);
          reject(signal.reason);
        }),
      );
    const result = allOrAbort([waiting, waiting], controller.signal);
    const reason = new Error("deadline");
    controller.abort(reason);
    await expect(result).rejects.toBe(reason);
    expect(reasons).toEqual([reason, reason]);
  });

  test("nothing to do is done", async () => {
    expect(await allOrAbort([], open())).toEqual([]);
  });
});

describe("abortable", () => {
  test("passes on what the promise gives", async () => {
    expect(await abortable(Promise.resolve(1), open())).toBe(1);
    await expect(abortable(Promise.reject(new Error("no")), open())).rejects.toThrow("no");
  });

  test("stops waiting when aborted, before or after", async () => {
    const controller = new AbortController();
    const waiting = abortable(new Promise(() => {}), controller.signal);
    controller.abort(new Error("stop"));
    await expect(waiting).rejects.toThrow("stop");
    await expect(abortable(new Promise(() => {}), controller.signal)).rejects.toThrow("stop");
  });

  test("a late rejection of what nobody waits for stays without effect", async () => {
    const late = Promise.withResolvers<never>();
    const unhandled: unknown[] = [];
    const listen = (reason: unknown) => unhandled.push(reason);
    process.on("unhandledRejection", listen);
    try {
      await expect(abortable(late.promise, AbortSignal.abort(new Error("stop")))).rejects.toThrow("stop");
      late.reject(new Error("late"));
      await new Promise((resolve) => setImmediate(resolve));
      expect(unhandled).toEqual([]);
    } finally {
      process.off("unhandledRejection", listen);
    }
  });
});
