import type { CircuitState } from "../lib/circuit.ts";
import { unixSeconds } from "../lib/clock.ts";
import { version } from "../lib/version.ts";
import type { CertificateKeeper } from "./certificate.ts";
import type { NodeContext } from "./context.ts";
import { reasonToWait } from "./dependencies.ts";
import type { ModelReport } from "./inference.ts";
import { leaderTrouble } from "./leader-trouble.ts";
import type { LoopState } from "./loops/loop.ts";
import { reasonTooSlow } from "./pace.ts";
import { type RunningJob, reasonNotToLead, type Scheduler } from "./scheduler.ts";

/** What `/status` and `blindference status` show. Holds nothing secret. Times are ISO-8601 UTC. */
export type StatusReport = {
  version: string;
  address: string;
  network: string;
  chainId: number;
  tier: number;
  ready: boolean;
  /** Whether the node takes no more jobs and ends when the running ones are done. */
  draining: boolean;
  /** Why the node is not ready, in words. */
  problems: string[];
  startedAt: string;
  certificate: { hash: string; expiresAt: string | null };
  models: ModelReport[];
  canLead: boolean;
  outputKeysReady: number;
  loops: (Omit<LoopState, "lastSuccess"> & { lastSuccess: string | null })[];
  /** How the services that this node depends on have answered of late. */
  dependencies?: CircuitState[];
  running: (Omit<RunningJob, "since"> & { since: string })[];
  jobs: Record<string, number>;
  recent: { taskId: string; role: string; state: string; commitment: string | null; failureCode: string | null }[];
};

export type StatusSource = {
  ctx: NodeContext;
  certificate: CertificateKeeper;
  scheduler: Scheduler;
  loops: () => LoopState[];
  startedAt: number;
  /** What keeps the node from starting, in words. */
  waitingFor?: () => string | undefined;
};

/** No heartbeat for this long, and the coordinator stops giving jobs (PROTOCOL.md 10), in milliseconds. */
const heartbeatGraceMs = 300_000;

export function statusReport(source: StatusSource): StatusReport {
  const { ctx, certificate, scheduler } = source;
  const problems = findProblems(source);
  const expiry = certificate.expiresAt();
  return {
    version,
    address: ctx.wallet.address,
    network: ctx.config.network,
    chainId: ctx.config.chain_id,
    tier: ctx.config.tier,
    ready: problems.length === 0,
    draining: scheduler.isDraining(),
    problems,
    startedAt: isoTime(source.startedAt)!,
    certificate: { hash: certificate.hash(), expiresAt: isoTime(expiry * 1000) },
    models: ctx.inference.describe(),
    canLead: reasonNotToLead(ctx) === undefined,
    outputKeysReady: ctx.keyPool.size(),
    loops: source.loops().map((loop) => ({ ...loop, lastSuccess: isoTime(loop.lastSuccess) })),
    ...(ctx.circuits ? { dependencies: ctx.circuits.states() } : {}),
    running: scheduler.running().map((job) => ({ ...job, since: isoTime(job.since)! })),
    jobs: ctx.journal.countByState(),
    recent: ctx.journal.recent(10).map((job) => ({
      taskId: job.taskId,
      role: job.role,
      state: job.state,
      commitment: job.commitment ?? null,
      failureCode: job.failureCode ?? null,
    })),
  };
}

/** What keeps this node from earning right now, each with the reason in words. */
function findProblems({ ctx, certificate, scheduler, loops, startedAt, waitingFor }: StatusSource): string[] {
  const now = ctx.clock.now();
  const problems: string[] = [];
  if (certificate.expiresAt() <= unixSeconds(ctx.clock)) problems.push("no valid attestation certificate");
  const heartbeat = loops().find((loop) => loop.name === "heartbeat");
  if (now - (heartbeat?.lastSuccess ?? startedAt) > heartbeatGraceMs || (heartbeat?.failures ?? 0) > 0)
    problems.push(`the coordinator gets no heartbeat (${heartbeat?.lastError ?? "none sent yet"})`);
  const waiting = waitingFor?.();
  if (waiting) problems.push(waiting);
  else if (!loops().some((loop) => loop.name === "poll"))
    problems.push("the node is starting: its model is being loaded");
  const trouble = leaderTrouble(ctx);
  if (trouble) problems.push(`this node leads no jobs: ${trouble}`);
  const wait = reasonToWait(ctx, "verifier") ?? (reasonNotToLead(ctx) ? undefined : reasonToWait(ctx, "leader"));
  if (wait) problems.push(`no jobs are claimed: ${wait}`);
  if (scheduler.isDraining()) {
    const count = scheduler.running().length;
    problems.push(
      `draining: no new jobs are taken, and the node ends after ${count} running ${count === 1 ? "job" : "jobs"}`,
    );
  }
  if (ctx.inference.models().length === 0) problems.push("no model is configured");
  for (const { id, health } of ctx.inference.describe())
    if (health.status === "unhealthy") problems.push(`model ${id} is unhealthy: ${health.detail}`);
    else {
      const slow = reasonTooSlow(ctx, "leader", id) ?? reasonTooSlow(ctx, "verifier", id);
      if (slow) problems.push(`model ${id} is too slow here: ${slow}`);
    }
  return problems;
}

function isoTime(ms: number | undefined): string | null {
  return ms === undefined || ms === 0 ? null : new Date(ms).toISOString();
}
