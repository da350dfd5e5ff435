import { describe, expect, test } from "bun:test";
import { growthBetween, type Sample } from "./memory.ts";

/** One sample per second from 0 to `seconds`. */
function samples(seconds: number, megabytes: (second: number) => number): Sample[] {
  return Array.from({ length: seconds + 1 }, (_, second) => ({ at: second * 1000, megabytes: megabytes(second) }));
}

describe("growthBetween", () => {
  test("compares the medians of the first and last quarter", () => {
    // 100 MB at the start and 1 MB more every second: the quarters' middles are 12.5 and 87.5 seconds.
    expect(
      growthBetween(
        samples(100, (second) => 100 + second),
        0,
        100_000,
      ),
    ).toEqual({
      from: 112.5,
      to: 187.5,
      share: 75 / 112.5,
    });
  });

  test("is not impressed by single peaks, and sees only the time that it is asked for", () => {
    const spiky = samples(100, (second) => (second < 50 ? 10 : second % 10 === 0 ? 500 : 80));
    expect(growthBetween(spiky, 50_000, 100_000)?.share).toBe(0);
  });

  test("says nothing about too few samples", () => {
    expect(
      growthBetween(
        samples(4, () => 1),
        0,
        4000,
      ),
    ).toBeUndefined();
    expect(growthBetween([], 0, 1)).toBeUndefined();
  });
});
