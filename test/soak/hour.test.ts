import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { executable, isBuilt } from "../e2e/executable.ts";
import { tempDirectory } from "../helpers/temp-directory.ts";
import { formatReport, soakReport } from "./report.ts";
import { runSoak, type SoakResult } from "./soak.ts";
import { violations } from "./verdict.ts";

describe.skipIf(!isBuilt)("a few seconds of the hour under faults", () => {
  let directory: ReturnType<typeof tempDirectory>;
  let result: SoakResult;

  beforeAll(async () => {
    directory = tempDirectory();
    result = await runSoak({
      executable,
      directory: directory.path,
      seed: "smoke",
      durationMs: 5000,
      victims: 1,
      steady: 2,
      killEveryMs: 2000,
      coordinatorEveryMs: 3000,
      nodeAwayMs: 200,
      coordinatorAwayMs: 500,
      jobEveryMs: 1000,
      sampleEveryMs: 500,
      faultRate: 0.05,
      model: "mock",
      limits: { assignmentLife: 30, claimLife: 30 },
    });
  }, 180_000);

  afterAll(() => directory[Symbol.dispose]());

  test("ends with every job answered or failed for a reason, and nothing to object to", () => {
    expect(violations(result)).toEqual([]);
    expect(result.jobs.length).toBeGreaterThan(1);
  });

  test("has killed what it should, and what was killed came back", () => {
    expect(result.coordinatorRestarts).toBe(1);
    expect(result.nodeKills).toBe(2);
    expect(result.nodes.map(({ lives }) => lives.length)).toEqual([3, 1, 1]);
    expect(result.exitCodes).toEqual([0, 0, 0]);
  });

  test("has led every dependency through a proxy", () => {
    for (const proxy of Object.values(result.proxies)) expect(proxy.requests()).toBeGreaterThan(0);
    expect(result.watch.commitments()).toBeGreaterThan(0);
  });

  test("objects to an answer that was paid and that its requester could not open", () => {
    const { sent } = result.requests;
    const index = sent.findIndex(({ outcome }) => outcome === "answered");
    const unopened = sent.with(index, { ...sent[index]!, outcome: "failed", code: "COFHE_NOT_ALLOWED" });
    const objections = violations({ ...result, requests: { ...result.requests, sent: unopened } });
    expect(objections).toEqual([expect.stringContaining(sent[index]!.taskId)]);
  });

  test("tells what it saw", () => {
    const report = soakReport(result);
    expect(report.ok).toBe(true);
    expect(report.jobs.accepted).toBe(result.jobs.filter(({ status }) => status === "accepted").length);
    expect(formatReport(report)).toEndWith("The acceptance holds.");
  });
});
