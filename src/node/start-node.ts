import { deadlineSignal } from "../lib/deadline.ts";
import { errorCode } from "../lib/errors.ts";
import { version } from "../lib/version.ts";
import { type StatusServer, startStatusServer } from "../status/server.ts";
import { createCertificateKeeper } from "./certificate.ts";
import type { NodeContext } from "./context.ts";
import { createDoppelganger } from "./doppelganger.ts";
import { outputIsSafe } from "./jobs/run-job.ts";
import { beat, startHeartbeatLoop } from "./loops/heartbeat.ts";
import type { Loop } from "./loops/loop.ts";
import { lookAtModels, startModelProbeLoop, warmModels } from "./loops/model-probe.ts";
import { startOnChainHeartbeatLoop } from "./loops/on-chain-heartbeat.ts";
import { startOutcomeLoop } from "./loops/outcomes.ts";
import { startPollLoop } from "./loops/poller.ts";
import { startRetentionLoop } from "./loops/retention.ts";
import { startWatchdogLoop } from "./loops/watchdog.ts";
import { unservedModels } from "./models.ts";
import { createScheduler, type RunningJob } from "./scheduler.ts";
import { type StatusReport, statusReport } from "./status-report.ts";

/** Time for the last heartbeat, in milliseconds: the person who stopped the node waits for it. */
const lastHeartbeatMs = 3000;

export type StartOptions = {
  /** The node is to end, whether or not it has got ready: the start is given up. */
  stop?: AbortSignal;
  /** The jobs that run already are not finished either. */
  force?: AbortSignal;
  /** Starts although another node may be working with the same key. */
  ignoreOtherNode?: boolean;
  /** Called when a node that had started must end: the coordinator was away, and came back with another node that uses this key. */
  onFatal?: (error: unknown) => void;
};

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
 * @throws BlfError `STATUS_PORT_TAKEN`, `MODEL_*`, `ENGINE_*`, `NODE_ACTIVE_ELSEWHERE`; the reason of `stop`
 */
export async function startNode(ctx: NodeContext, options: StartOptions = {}): Promise<RunningNode> {
  const { log } = ctx;
  const startedAt = ctx.clock.now();
  const stopping = new AbortController();
  const forced = new AbortController();
  const ending = new AbortController();
  const starting = AbortSignal.any([ending.signal, ...(options.stop ? [options.stop] : [])]);
  let isPresent = false;
  const force = (signal?: AbortSignal) => {
    if (signal?.aborted) forced.abort(signal.reason);
    else signal?.addEventListener("abort", () => forced.abort(signal.reason), { once: true });
  };
  const doppelganger = createDoppelganger(ctx, { ignore: options.ignoreOtherNode ?? false });
  const certificate = createCertificateKeeper(ctx);
  const loops: Loop[] = [];
  let poll: Loop | undefined;
  const scheduler = createScheduler(ctx, { onRoom: () => poll?.poke() }, forced.signal);
  const status = startStatus(ctx, () =>
    statusReport({
      ctx,
      certificate,
      scheduler,
      startedAt,
      waitingFor: doppelganger.waitingFor,
      loops: () => loops.map((loop) => loop.state()),
    }),
  );
  const attest = () =>
    certificate.ensure(starting).catch((error: unknown) => {
      if (starting.aborted) return;
      log.warn("the first attestation failed; the watchdog goes on trying", { code: errorCode(error) });
    });
  const close = async () => {
    ending.abort(new DOMException("the node stops", "AbortError"));
    stopping.abort(new DOMException("the node stops", "AbortError"));
    await Promise.all(loops.map((loop) => loop.finished));
    await status?.stop();
  };

  const beginWork = async (warm: Promise<void>): Promise<void> => {
    // Nothing that others could see, and no promise of an answer, before it is known that nobody else gives them in this node's name.
    await doppelganger.assertAlone(starting);
    isPresent = true;
    const present = attest().then(() => {
      if (starting.aborted) return;
      loops.push(
        startHeartbeatLoop(ctx, stopping.signal),
        startWatchdogLoop(ctx, certificate, stopping.signal),
        startOnChainHeartbeatLoop(ctx, stopping.signal),
        startModelProbeLoop(ctx, certificate, stopping.signal),
        startRetentionLoop(ctx, stopping.signal),
        startOutcomeLoop(ctx, stopping.signal),
      );
    });
    await warm;
    starting.throwIfAborted();
    // A coordinator that is away just now must not keep claimed jobs from being worked on.
    scheduler.resume();
    await present;
    starting.throwIfAborted();
    poll = startPollLoop(ctx, certificate, scheduler, stopping.signal);
    loops.push(poll);
  };

  try {
    reportGaps(ctx);
    // What only has to be submitted needs neither a model nor a certificate, and its deadline runs.
    scheduler.resume(outputIsSafe);
    ctx.keyPool.start();
    await lookAtModels(ctx, starting);
    const warm = warmModels(ctx, starting);
    const work = beginWork(warm);
    // A coordinator that is away keeps the node from its work, but not from being there when it comes back.
    await Promise.race([work, Promise.all([warm, doppelganger.unanswered])]);
    work.catch((error: unknown) => {
      if (!starting.aborted) options.onFatal?.(error);
    });
  } catch (error) {
    if (options.stop?.aborted) force(options.force);
    else forced.abort(new DOMException("the node did not start", "AbortError"));
    await scheduler.drain();
    await close();
    throw options.stop?.aborted ? options.stop.reason : error;
  }
  log.info("node ready", {
    address: ctx.wallet.address,
    version,
    model: ctx.inference.models().join(","),
    ...(status ? { url: status.url } : {}),
  });

  return {
    running: scheduler.running,
    stop: async (signal) => {
      force(signal);
      ending.abort(new DOMException("the node stops", "AbortError"));
      const running = scheduler.running().length;
      if (running > 0) log.info("finishing the running jobs; a second signal aborts them", { count: running });
      await scheduler.drain();
      if (isPresent && !signal.aborted) await sendLastHeartbeat(ctx);
      await close();
    },
  };
}

async function sendLastHeartbeat(ctx: NodeContext): Promise<void> {
  const limit = deadlineSignal(ctx.clock, ctx.clock.now() + lastHeartbeatMs);
  await beat(ctx, limit.signal).catch(() => {});
  limit.clear();
}

function startStatus(ctx: NodeContext, report: () => StatusReport): StatusServer | undefined {
  if (ctx.config.status_port === 0) return undefined;
  const metrics = () => {
    ctx.metrics.keyPool.set(ctx.keyPool.size());
    for (const { name, state } of ctx.circuits?.states() ?? [])
      ctx.metrics.dependencyUp.set({ dependency: name }, state === "closed" ? 1 : 0);
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
