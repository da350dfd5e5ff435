import { describe, expect, test } from "bun:test";
import { createClockOffset } from "../../src/icl/clock-offset.ts";
import { manualClock } from "../helpers/manual-clock.ts";

const date = (ms: number) => new Date(ms).toUTCString();

/** The offset that is learned from an answer which took `tookMs`, by a clock that is `aheadMs` ahead of the service's. */
function learn(aheadMs: number, tookMs = 100): number | undefined {
  const clock = manualClock();
  const offset = createClockOffset(clock);
  const sentAt = clock.now();
  clock.advance(tookMs);
  offset.note(date(clock.now() - aheadMs), sentAt);
  return offset.ms();
}

describe("the offset between two clocks", () => {
  test("is unknown before the first answer", () => {
    expect(createClockOffset(manualClock()).ms()).toBeUndefined();
  });

  test.each([0, 500, -900, 1200])("is nothing when it may be the rounding of the header (%i ms)", (ms) => {
    expect(learn(ms)).toBe(0);
  });

  test.each([5000, -5000, 600_000, -86_400_000])("is right to about a second (%i ms)", (ms) => {
    expect(learn(ms)).toBeWithin(ms - 1001, ms + 1001);
  });

  test("is not learned from an answer that took long, or that came before its question", () => {
    expect(learn(60_000, 2001)).toBeUndefined();
    expect(learn(60_000, -5)).toBeUndefined();
  });

  test.each([null, "", "yesterday", "NaN"])("is not learned from %p", (header) => {
    const clock = manualClock();
    const offset = createClockOffset(clock);
    offset.note(header, clock.now());
    expect(offset.ms()).toBeUndefined();
  });

  test("follows the newest answer", () => {
    const clock = manualClock();
    const offset = createClockOffset(clock);
    offset.note(date(clock.now() - 60_000), clock.now());
    expect(offset.ms()).toBeGreaterThan(58_000);
    offset.note(date(clock.now()), clock.now());
    expect(offset.ms()).toBe(0);
  });
});
