import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { createMetrics } from "../../src/node/metrics.ts";
import { type SimResult, simulate } from "./simulate.ts";

setDefaultTimeout(120_000);

const metrics = createMetrics();
const seen = { answers: 0, crashes: 0, failed: new Set<string>() };

/** What a person needs to look into a run that broke a rule. */
function describe({ seed, violations, trace }: SimResult): string {
  return [`SEED=${seed} make sim`, ...violations, ...trace].join("\n");
}

test.each([...Array(8).keys()])("no rule is broken in ten networks under faults (%i)", async (part) => {
  for (let seed = part * 10 + 1; seed <= part * 10 + 10; seed++) {
    const result = await simulate(seed, { metrics });
    expect(result.violations.length === 0 ? "" : describe(result)).toBe("");
    seen.answers += result.submitted;
    seen.crashes += result.crashes;
    for (const code of Object.keys(result.failed)) seen.failed.add(code);
  }
});

test("the same seed gives the same run", async () => {
  const first = await simulate(3, { metrics });
  const second = await simulate(3, { metrics });
  expect(second).toEqual(first);
  expect((await simulate(4, { metrics })).checksum).not.toBe(first.checksum);
});

afterAll(() => {
  // Runs in which nothing happens break no rule either.
  expect(seen.answers).toBeGreaterThan(300);
  expect(seen.crashes).toBeGreaterThan(50);
  expect(seen.failed.size).toBeGreaterThan(3);
});
