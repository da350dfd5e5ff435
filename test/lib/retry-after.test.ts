import { describe, expect, test } from "bun:test";
import { BlfError } from "../../src/lib/errors.ts";
import { retry } from "../../src/lib/retry.ts";
import { readRetryAfter, retryAfterMs } from "../../src/lib/retry-after.ts";
import { jumpingClock } from "./jumping-clock.ts";

const now = Date.parse("2026-01-01T00:00:00Z");

describe("readRetryAfter", () => {
  test.each([
    ["3", 3000],
    [" 120 ", 120_000],
    ["Thu, 01 Jan 2026 00:00:30 GMT", 30_000],
  ])("%p is %d ms", (header, ms) => {
    expect(readRetryAfter(header, now)?.ms).toBe(ms);
  });

  test.each([
    null,
    "",
    "0",
    "-1",
    "soon",
    "NaN",
    "Infinity",
    "1e999",
    "9".repeat(400),
    "Thu, 01 Jan 2020 00:00:00 GMT",
    "\u0000",
  ])("%p asks for nothing", (header) => {
    expect(readRetryAfter(header, now)).toBeUndefined();
  });
});

test("only an error that says so carries a wish", () => {
  expect([undefined, null, "x", new Error("x"), new Error("x", { cause: { ms: 5 } })].map(retryAfterMs)).toEqual([
    0, 0, 0, 0, 0,
  ]);
});

test.each([
  ["2", [2000, 2000]],
  ["3600", [4000, 4000]],
  [null, [1000, 2000]],
])("a retry waits as long as it is asked to, but not longer than it ever would: %p", async (header, sleeps) => {
  const clock = jumpingClock();
  const cause = readRetryAfter(header, now);
  const failed = () => Promise.reject(new BlfError({ code: "X", message: "x", hint: "x", retryable: true, cause }));
  await expect(retry(failed, { clock, attempts: 3, initialMs: 1000, maxMs: 4000, jitter: 0 })).rejects.toThrow("x");
  expect(clock.sleeps).toEqual(sleeps);
});
