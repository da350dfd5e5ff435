import { join } from "node:path";
import { createAttestor } from "../attestation/create.ts";
import { assertChainId, createChain } from "../chain/clients.ts";
import { createSender } from "../chain/sender.ts";
import { createCofhe } from "../cofhe/client.ts";
import { createKeyPool } from "../cofhe/key-pool.ts";
import { type Config, maxFeePerGas } from "../config/load.ts";
import type { Secrets } from "../config/secrets.ts";
import { systemRandom } from "../crypto/random.ts";
import { createIclClient } from "../icl/client.ts";
import { createDownloader } from "../ipfs/download.ts";
import { systemClock } from "../lib/clock.ts";
import { errorCode } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { version } from "../lib/version.ts";
import { startStatusServer } from "../status/server.ts";
import type { Wallet } from "../wallet/wallet.ts";
import { createCertificateKeeper } from "./certificate.ts";
import type { NodeContext } from "./context.ts";
import { createInference } from "./inference.ts";
import { openJournal } from "./journal/journal.ts";
import { lockDataDirectory } from "./lock.ts";
import { startHeartbeatLoop } from "./loops/heartbeat.ts";
import type { Loop } from "./loops/loop.ts";
import { startModelProbeLoop } from "./loops/model-probe.ts";
import { startOnChainHeartbeatLoop } from "./loops/on-chain-heartbeat.ts";
import { startPollLoop } from "./loops/poller.ts";
import { startWatchdogLoop } from "./loops/watchdog.ts";
import { createMetrics } from "./metrics.ts";
import { unservedModels } from "./models.ts";
import { createScheduler } from "./scheduler.ts";
import { statusReport } from "./status-report.ts";
import { createNodeUploader } from "./uploader.ts";

export type DaemonOptions = { config: Config; secrets: Secrets; wallet: Wallet; log: Logger };

export type Daemon = {
  /**
   * Takes no new jobs, finishes the running ones within their deadlines, sends a last heartbeat and ends.
   * @param force aborts the running jobs; they go on after the next start if their deadline allows
   */
  stop(force: AbortSignal): Promise<void>;
};

/**
 * Puts the node together and starts its loops. The one place where the parts meet.
 * @throws BlfError `NODE_ALREADY_RUNNING`, `JOURNAL_*`, `STATUS_PORT_TAKEN`, `CHAIN_WRONG_ID`, `MODEL_*`
 */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { config, wallet, log } = options;
  const lock = lockDataDirectory(config.dir);
  const ctx = await createContext(options);
  await checkChain(ctx);
  reportGaps(ctx);

  const startedAt = ctx.clock.now();
  const stopping = new AbortController();
  const forced = new AbortController();
  const certificate = createCertificateKeeper(ctx);
  const loops: Loop[] = [];
  let poll: Loop | undefined;
  const scheduler = createScheduler(ctx, { onRoom: () => poll?.poke() }, forced.signal);
  const report = () =>
    statusReport({ ctx, certificate, scheduler, startedAt, loops: () => loops.map((loop) => loop.state()) });
  const metrics = () => {
    ctx.metrics.keyPool.set(ctx.keyPool.size());
    return ctx.metrics.registry.metrics();
  };
  const status =
    config.status_port === 0
      ? undefined
      : startStatusServer({ host: config.status_host, port: config.status_port, report, metrics });

  await certificate.ensure(stopping.signal).catch((error: unknown) => {
    log.warn("the first attestation failed; the watchdog goes on trying", { code: errorCode(error) });
  });
  loops.push(startHeartbeatLoop(ctx, stopping.signal), startWatchdogLoop(ctx, certificate, stopping.signal));
  loops.push(startOnChainHeartbeatLoop(ctx, stopping.signal), startModelProbeLoop(ctx, stopping.signal));
  ctx.keyPool.start();
  scheduler.resume();
  poll = startPollLoop(ctx, certificate, scheduler, stopping.signal);
  loops.push(poll);
  log.info("node ready", {
    address: wallet.address,
    version,
    model: ctx.inference.models().join(","),
    ...(status ? { url: status.url } : {}),
  });

  return {
    stop: async (force) => {
      force.addEventListener("abort", () => forced.abort(force.reason), { once: true });
      if (force.aborted) forced.abort(force.reason);
      const running = scheduler.running().length;
      if (running > 0) log.info("finishing the running jobs; a second signal aborts them", { count: running });
      await scheduler.drain();
      stopping.abort(new DOMException("the node stops", "AbortError"));
      await Promise.all(loops.map((loop) => loop.finished));
      if (!force.aborted) await ctx.icl.heartbeat(AbortSignal.timeout(3000)).catch(() => {});
      await status?.stop();
      await ctx.inference.close();
      await ctx.keyPool.close();
      await ctx.cofhe.close();
      ctx.journal.close();
      lock.release();
      log.info("node stopped");
    },
  };
}

async function createContext({ config, secrets, wallet, log }: DaemonOptions): Promise<NodeContext> {
  const clock = systemClock;
  const chain = createChain({ rpcUrl: config.rpc_url, chainId: config.chain_id, explorer: config.explorer });
  const journal = openJournal(join(config.dir, "journal.db"), clock);
  const cofhe = createCofhe({
    account: wallet.account,
    rpcUrl: config.cofhe_endpoint || config.rpc_url,
    chainId: config.chain_id,
    clock,
    log,
  });
  const inference = createInference(config, log, clock);
  return {
    config,
    wallet,
    sealer: await wallet.sealer("output-key"),
    icl: createIclClient({ baseUrl: config.icl_endpoint, signer: wallet.account, fetch: globalThis.fetch, clock, log }),
    chain,
    sender: createSender({
      chain,
      account: wallet.account,
      store: journal.transactions,
      clock,
      log,
      maxFeePerGas: maxFeePerGas(config),
    }),
    cofhe,
    keyPool: createKeyPool({ cofhe, random: systemRandom, log, clock, canWork: () => !inference.isBusy() }),
    downloader: createDownloader({
      fetch: globalThis.fetch,
      gateways: [...new Set([config.ipfs_gateway, ...config.ipfs_gateways])],
      clock,
      log,
    }),
    uploader: createNodeUploader(config, secrets, log),
    inference,
    attestor: createAttestor(config.attestation_backend, secrets),
    journal,
    metrics: createMetrics(),
    log,
    clock,
    random: systemRandom,
  };
}

/** A wrong chain is an error; an RPC that is down is not, since it may come back. */
async function checkChain(ctx: NodeContext): Promise<void> {
  await assertChainId(ctx.chain).catch((error: unknown) => {
    if (errorCode(error) === "CHAIN_WRONG_ID") throw error;
    ctx.log.warn("the RPC cannot be reached yet", { code: errorCode(error) });
  });
}

/** Says at the start what this node will not do, and what is missing for it. */
function reportGaps(ctx: NodeContext): void {
  for (const model of unservedModels(ctx.config))
    ctx.log.warn("a model of supported_model_ids has no backend here and is not offered", { model });
  if (ctx.inference.models().length === 0) ctx.log.warn("no model is configured: this node gets no jobs");
  if (!ctx.uploader) ctx.log.warn("no upload service is configured: this node verifies but does not lead");
}
