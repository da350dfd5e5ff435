import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { tempDirectory } from "../helpers/temp-directory.ts";
import { runWeek, type WeekResult } from "./run-week.ts";

describe("a short week of polling", () => {
  let directory: ReturnType<typeof tempDirectory>;
  let result: WeekResult;

  beforeAll(async () => {
    directory = tempDirectory();
    result = await runWeek({ directory: directory.path, seed: "smoke", polls: 300, factor: 1000, sampleEveryMs: 100 });
  }, 120_000);

  afterAll(() => directory[Symbol.dispose]());

  test("asks for work as often as it was told, and lives on when answers are out of order", () => {
    expect(result.polls).toBeGreaterThanOrEqual(300);
    expect(result.faults).toBeGreaterThan(0);
    expect(result.exitCode).toBe(0);
  });

  test("attests, and sends heartbeats beside the polls", () => {
    expect(result.attestations).toBeGreaterThan(0);
    expect(result.heartbeats).toBeGreaterThan(0);
  });
});
