import { describe, expect, test } from "bun:test";
import { version } from "../../src/lib/version.ts";
import type { CertificateKeeper } from "../../src/node/certificate.ts";
import type { NodeContext } from "../../src/node/context.ts";
import type { LoopState } from "../../src/node/loops/loop.ts";
import type { Scheduler } from "../../src/node/scheduler.ts";
import { type StatusSource, statusReport } from "../../src/node/status-report.ts";
import { assignment, commitmentA } from "./journal/fixtures.ts";
import { stubContext } from "./stub-context.ts";

const store = "0x7120fAbdAD2FC5B05CD814A59457eB5fCd9Cfa7E";

async function healthy(change: Partial<NodeContext> = {}) {
  const { ctx, clock } = await stubContext({ config: { prompt_key_store_address: store, tier: 1 }, overrides: change });
  const startedAt = clock.now();
  const expiry = Math.floor(startedAt / 1000) + 86_400;
  const certificate: CertificateKeeper = { expiresAt: () => expiry, hash: () => "0xab", ensure: async () => {} };
  const scheduler: Scheduler = {
    offer: () => {},
    resume: () => {},
    hasRoom: () => true,
    isDraining: () => false,
    running: () => [{ taskId: "0x01", role: "leader", modelId: "mock-model", since: startedAt, usesModel: true }],
    drain: async () => {},
  };
  const loops: LoopState[] = [
    { name: "heartbeat", lastSuccess: startedAt, lastError: undefined, failures: 0 },
    { name: "poll", lastSuccess: undefined, lastError: undefined, failures: 0 },
  ];
  const source: StatusSource = { ctx, certificate, scheduler, startedAt, loops: () => loops };
  return { source, ctx, clock, loops };
}

test("says what the node is and does", async () => {
  const { source, ctx, clock } = await healthy();
  ctx.journal.begin(assignment("0x01"));
  clock.advance(1000);
  ctx.journal.begin(assignment("0x02", "verifier"));
  ctx.journal.advance({ taskId: "0x02", role: "verifier" }, "failed", {
    failureCode: "LEADER_SILENT",
    commitment: commitmentA,
  });
  const report = statusReport(source);
  expect(JSON.parse(JSON.stringify(report))).toEqual({
    version,
    address: ctx.wallet.address,
    network: "devnet",
    chainId: 31_337,
    tier: 1,
    ready: true,
    draining: false,
    problems: [],
    startedAt: "2025-06-15T15:06:40.000Z",
    certificate: { hash: "0xab", expiresAt: "2025-06-16T15:06:40.000Z" },
    models: [
      {
        id: "mock-model",
        backend: "mock",
        health: { status: "healthy", detail: "" },
        determinismClass: "mock/sha256",
        determinismClassHash: new Bun.CryptoHasher("sha256").update("mock/sha256").digest("hex"),
      },
    ],
    canLead: true,
    outputKeysReady: 3,
    loops: [
      { name: "heartbeat", lastSuccess: "2025-06-15T15:06:40.000Z", failures: 0 },
      { name: "poll", lastSuccess: null, failures: 0 },
    ],
    running: [
      { taskId: "0x01", role: "leader", modelId: "mock-model", since: "2025-06-15T15:06:40.000Z", usesModel: true },
    ],
    jobs: { assigned: 1, failed: 1 },
    recent: [
      { taskId: "0x02", role: "verifier", state: "failed", commitment: commitmentA, failureCode: "LEADER_SILENT" },
      { taskId: "0x01", role: "leader", state: "assigned", commitment: null, failureCode: null },
    ],
  });
});

describe("a node is not ready", () => {
  test("without a valid certificate", async () => {
    const { source, clock, loops } = await healthy();
    const none = { ...source, certificate: { ...source.certificate, expiresAt: () => 0 } };
    expect(statusReport(none)).toMatchObject({
      ready: false,
      problems: ["no valid attestation certificate"],
      certificate: { expiresAt: null },
    });
    clock.advance(86_399_000);
    loops[0]!.lastSuccess = clock.now();
    expect(statusReport(source).ready).toBe(true);
    clock.advance(1000);
    expect(statusReport(source).problems).toEqual(["no valid attestation certificate"]);
  });

  test("as long as it loads its model and asks for nothing", async () => {
    const { source, loops } = await healthy();
    loops.pop();
    expect(statusReport(source).problems).toEqual(["the node is starting: its model is being loaded"]);
  });

  test("when its heartbeats fail, or none arrived for 300 s", async () => {
    const { source, clock, loops } = await healthy();
    clock.advance(300_000);
    expect(statusReport(source).ready).toBe(true);
    clock.advance(1);
    expect(statusReport(source).problems).toEqual(["the coordinator gets no heartbeat (none sent yet)"]);
    loops[0] = { name: "heartbeat", lastSuccess: clock.now(), lastError: "ICL_TIMEOUT", failures: 1 };
    expect(statusReport(source).problems).toEqual(["the coordinator gets no heartbeat (ICL_TIMEOUT)"]);
  });

  test("without a model, or with one that is unhealthy", async () => {
    const { source, ctx } = await healthy();
    const none = { ...ctx.inference, models: () => [], describe: () => [] };
    expect(statusReport({ ...source, ctx: { ...ctx, inference: none } }).problems).toEqual(["no model is configured"]);
    const detail = "2 failures in a row, the last one ENGINE_CRASHED";
    const sick = {
      ...ctx.inference,
      describe: () =>
        ctx.inference.describe().map((model) => ({ ...model, health: { status: "unhealthy" as const, detail } })),
    };
    expect(statusReport({ ...source, ctx: { ...ctx, inference: sick } }).problems).toEqual([
      `model mock-model is unhealthy: ${detail}`,
    ]);
  });
});

test("it leads only with an upload service and a key store", async () => {
  const { source, ctx } = await healthy();
  const canLead = (change: Partial<NodeContext>) => statusReport({ ...source, ctx: { ...ctx, ...change } }).canLead;
  expect(canLead({})).toBe(true);
  expect(canLead({ uploader: undefined })).toBe(false);
  expect(canLead({ config: { ...ctx.config, prompt_key_store_address: "" } })).toBe(false);
  expect(canLead({ config: { ...ctx.config, skip_output_key_storage: true } })).toBe(false);
});
