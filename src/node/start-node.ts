import { deadlineSignal } from "../lib/deadline.ts";
import { errorCode } from "../lib/errors.ts";
import { version } from "../lib/version.ts";
import { type StatusServer, startStatusServer } from "../status/server.ts";
import { createCertificateKeeper } from "./certificate.ts";
import type { NodeContext } from "./context.ts";
import { outputIsSafe } from "./jobs/run-job.ts";
import { startHeartbeatLoop } from "./loops/heartbeat.ts";
import type { Loop } from "./loops/loop.ts";
import { lookAtModels, startModelProbeLoop, warmFirstModel } from "./loops/model-probe.ts";
import { startOnChainHeartbeatLoop } from "./loops/on-chain-heartbeat.ts";
import { startPollLoop } from "./loops/poller.ts";
import { startWatchdogLoop } from "./loops/watchdog.ts";
import { unservedModels } from "./models.ts";
import { createScheduler, type RunningJob } from "./scheduler.ts";
import { type StatusReport, statusReport } from "./status-report.ts";

/** Time for the last heartbeat, in milliseconds: the person who stopped the node waits for it. */
const lastHeartbeatMs = 3000;

export type RunningNode = {
  running(): RunningJob[];
  /**
   * Takes no new jobs, finishes the running ones within their deadlines, sends a last heartbeat and ends the loops.
   * @param force aborts the running jobs; they go on after the next start if their deadline allows
   */
  stop(force: AbortSignal): Promise<void>;
};

/**
 * Starts everything that a node does, over parts that are already there: status server, loops, and the jobs that an earlier run left
 * unfinished. Needs nothing but the context, so that a simulation can run it on parts of its own.
 * @throws BlfError `STATUS_PORT_TAKEN`, `MODEL_*`, `ENGINE_*`
 */
export async function startNode(ctx: NodeContext): Promise<RunningNode> {
  const { log } = ctx;
  const startedAt = ctx.clock.now();
  const stopping = new AbortController();
  const forced = new AbortController();
  const certificate = createCertificateKeeper(ctx);
  const loops: Loop[] = [];
  let poll: Loop | undefined;
  const scheduler = createScheduler(ctx, { onRoom: () => poll?.poke() }, forced.signal);
  const status = startStatus(ctx, () =>
    statusReport({ ctx, certificate, scheduler, startedAt, loops: () => loops.map((loop) => loop.state()) }),
  );
  const attest = () =>
    certificate.ensure(stopping.signal).catch((error: unknown) => {
      log.warn("the first attestation failed; the watchdog goes on trying", { code: errorCode(error) });
    });
  const close = async () => {
    stopping.abort(new DOMException("the node stops", "AbortError"));
    await Promise.all(loops.map((loop) => loop.finished));
    await status?.stop();
  };

  try {
    reportGaps(ctx);
    // What only has to be submitted needs neither a model nor a certificate, and its deadline runs.
    scheduler.resume(outputIsSafe);
    ctx.keyPool.start();
    await lookAtModels(ctx, stopping.signal);
    const present = attest().then(() =>
      loops.push(
        startHeartbeatLoop(ctx, stopping.signal),
        startWatchdogLoop(ctx, certificate, stopping.signal),
        startOnChainHeartbeatLoop(ctx, stopping.signal),
        startModelProbeLoop(ctx, certificate, stopping.signal),
      ),
    );
    await warmFirstModel(ctx, stopping.signal);
    // A coordinator that is away just now must not keep claimed jobs from being worked on.
    scheduler.resume();
    await present;
    poll = startPollLoop(ctx, certificate, scheduler, stopping.signal);
    loops.push(poll);
  } catch (error) {
    forced.abort(new DOMException("the node did not start", "AbortError"));
    await scheduler.drain();
    await close();
    throw error;
  }
  log.info("node ready", {
    address: ctx.wallet.address,
    version,
    model: ctx.inference.models().join(","),
    ...(status ? { url: status.url } : {}),
  });

  return {
    running: scheduler.running,
    stop: async (force) => {
      if (force.aborted) forced.abort(force.reason);
      else force.addEventListener("abort", () => forced.abort(force.reason), { once: true });
      const running = scheduler.running().length;
      if (running > 0) log.info("finishing the running jobs; a second signal aborts them", { count: running });
      await scheduler.drain();
      if (!force.aborted) await sendLastHeartbeat(ctx);
      await close();
    },
  };
}

async function sendLastHeartbeat(ctx: NodeContext): Promise<void> {
  const limit = deadlineSignal(ctx.clock, ctx.clock.now() + lastHeartbeatMs);
  await ctx.icl.heartbeat(limit.signal).catch(() => {});
  limit.clear();
}

function startStatus(ctx: NodeContext, report: () => StatusReport): StatusServer | undefined {
  if (ctx.config.status_port === 0) return undefined;
  const metrics = () => {
    ctx.metrics.keyPool.set(ctx.keyPool.size());
    return ctx.metrics.registry.metrics();
  };
  return startStatusServer({ host: ctx.config.status_host, port: ctx.config.status_port, report, metrics });
}

/** Says at the start what this node will not do, and what is missing for it. */
function reportGaps(ctx: NodeContext): void {
  for (const model of unservedModels(ctx.config))
    ctx.log.warn("a model of supported_model_ids has no backend here and is not offered", { model });
  if (ctx.inference.models().length === 0) ctx.log.warn("no model is configured: this node gets no jobs");
  if (!ctx.uploader) ctx.log.warn("no upload service is configured: this node verifies but does not lead");
}
