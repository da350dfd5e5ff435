import { describe, expect, test } from "bun:test";
import { createRateLimit } from "../../../src/inference/http/rate-limit.ts";
import { retryAfterMs } from "../../../src/inference/http/refusal.ts";
import type { Service } from "../../../src/inference/http/service.ts";
import { manualClock } from "../../helpers/manual-clock.ts";

const answer = (headers: Record<string, string>, text = "") => ({ status: 429, headers: new Headers(headers), text });

describe("how long a service asks to wait", () => {
  const clock = manualClock();
  const date = (ms: number) => new Date(clock.now() + ms).toUTCString();
  test.each([
    ["seconds", answer({ "Retry-After": "7" }), 7000],
    ["parts of a second", answer({ "Retry-After": "0.5" }), 500],
    ["a date", answer({ "Retry-After": date(90_000) }), 90_000],
    ["a date that has passed", answer({ "Retry-After": date(-5000) }), 0],
    ["Google's body", answer({}, '{"error":{"details":[{"retryDelay": "34.2s"}]}}'), 34_200],
    ["nothing", answer({}), undefined],
    ["nonsense", answer({ "Retry-After": "soon" }, '{"retryDelay":"later"}'), undefined],
    ["a negative number", answer({ "Retry-After": "-3" }), undefined],
  ])("%s", (_name, response, expected) => {
    const ms = retryAfterMs(response, clock);
    // Dates in headers have whole seconds.
    if (expected === undefined) expect(ms).toBeUndefined();
    else expect(Math.abs(ms! - expected)).toBeLessThan(1000);
  });
});

describe("a limit", () => {
  const service: Service = {
    prefix: "GROQ",
    name: "Groq",
    baseUrl: "https://groq.example",
    keyVariable: "GROQ_API_KEY",
    urlKey: "groq.base_url",
    authorization: () => ({}),
  };

  test("is told as long as it lasts, and ends by itself or with an answer", () => {
    const clock = manualClock();
    const limit = createRateLimit(service, clock);
    expect([limit.waitMs(), limit.health().status]).toEqual([0, "healthy"]);
    limit.refused(12_000);
    limit.refused(3000);
    expect(limit.health()).toEqual({ status: "degraded", detail: "Groq allows no request for another 12 s" });
    clock.advance(12_000);
    expect([limit.waitMs(), limit.health().status]).toEqual([0, "healthy"]);
    limit.refused(12_000);
    limit.answered();
    expect(limit.waitMs()).toBe(0);
  });

  test("of a service that does not say when it ends is waited for longer each time", () => {
    const clock = manualClock();
    const limit = createRateLimit(service, clock);
    const pauses: number[] = [];
    for (let i = 0; i < 6; i++) {
      limit.gaveUp();
      pauses.push(limit.waitMs() / 60_000);
      clock.advance(limit.waitMs());
    }
    expect(pauses).toEqual([1, 2, 4, 8, 15, 15]);
    limit.answered();
    limit.gaveUp();
    expect(limit.waitMs()).toBe(60_000);
  });
});
