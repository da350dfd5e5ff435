import { describe, expect, test } from "bun:test";
import { BlfError } from "../../src/lib/errors.ts";
import { backoff, retry } from "../../src/lib/retry.ts";
import { manualClock } from "../helpers/manual-clock.ts";
import { jumpingClock } from "./jumping-clock.ts";

const again = (message: string) => new BlfError({ code: "BUSY", message, hint: "Wait.", retryable: true });
const options = { attempts: 4, initialMs: 100, maxMs: 300, jitter: 0 };

describe("backoff", () => {
  test("doubles up to the longest delay", () => {
    const delays = [0, 1, 2, 3, 10, 2000].map((attempt) =>
      backoff(attempt, { initialMs: 100, maxMs: 1000, jitter: 0 }),
    );
    expect(delays).toEqual([100, 200, 400, 800, 1000, 1000]);
  });

  test("takes the random share off, never adds to it", () => {
    const at = (random: number) => backoff(1, { initialMs: 100, maxMs: 1000, jitter: 0.5, random: () => random });
    expect([at(0), at(0.5), at(1)]).toEqual([100, 150, 200]);
    expect(backoff(0, { initialMs: 100, maxMs: 100, random: () => 0 })).toBe(80);
  });
});

describe("retry", () => {
  test("gives the first success, after waiting longer each time", async () => {
    const clock = jumpingClock();
    const attempts: number[] = [];
    const result = await retry(
      async (attempt) => {
        attempts.push(attempt);
        if (attempt < 3) throw again(`attempt ${attempt}`);
        return "done";
      },
      { ...options, clock },
    );
    expect([result, attempts, clock.sleeps]).toEqual(["done", [0, 1, 2, 3], [100, 200, 300]]);
  });

  test("throws the last error when the attempts are used up, without waiting after it", async () => {
    const clock = jumpingClock();
    const failing = retry((attempt) => Promise.reject(again(`attempt ${attempt}`)), { ...options, clock });
    await expect(failing).rejects.toThrow("attempt 3");
    expect(clock.sleeps).toEqual([100, 200, 300]);
  });

  test("does not retry what is final", async () => {
    const clock = jumpingClock();
    await expect(retry(() => Promise.reject(new Error("final")), { ...options, clock })).rejects.toThrow("final");
    const never = { ...options, clock, retryable: () => false };
    await expect(retry(() => Promise.reject(again("busy")), never)).rejects.toThrow("busy");
    expect(clock.sleeps).toEqual([]);
  });

  test("an abort ends the wait with the signal's reason", async () => {
    const clock = manualClock();
    const controller = new AbortController();
    let calls = 0;
    const result = retry(
      () => {
        calls++;
        return Promise.reject(again("busy"));
      },
      { ...options, clock, signal: controller.signal },
    );
    await new Promise((resolve) => setImmediate(resolve));
    expect(clock.sleeping()).toEqual([100]);
    controller.abort(new Error("stop"));
    await expect(result).rejects.toThrow("stop");
    expect(calls).toBe(1);
  });

  test("an abort during the action is what is thrown, and ends the retries", async () => {
    const clock = jumpingClock();
    const controller = new AbortController();
    const result = retry(
      () => {
        controller.abort(new Error("stop"));
        return Promise.reject(again("busy"));
      },
      { ...options, clock, signal: controller.signal },
    );
    await expect(result).rejects.toThrow("stop");
    expect(clock.sleeps).toEqual([]);
  });
});
