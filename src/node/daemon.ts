import { join } from "node:path";
import { createAttestor } from "../attestation/create.ts";
import { assertChainId, createChain } from "../chain/clients.ts";
import { createSender } from "../chain/sender.ts";
import { createSharedNonces } from "../chain/wallet-lock.ts";
import { createCofhe } from "../cofhe/client.ts";
import { createKeyPool } from "../cofhe/key-pool.ts";
import { type Config, maxFeePerGas } from "../config/load.ts";
import type { Secrets } from "../config/secrets.ts";
import { systemRandom } from "../crypto/random.ts";
import { createIclClient } from "../icl/client.ts";
import { readGgufFile } from "../inference/llama/gguf.ts";
import { createDownloader } from "../ipfs/download.ts";
import { systemClock } from "../lib/clock.ts";
import { BlfError, errorCode } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { version } from "../lib/version.ts";
import { type StatusServer, startStatusServer } from "../status/server.ts";
import type { Wallet } from "../wallet/wallet.ts";
import { createCertificateKeeper } from "./certificate.ts";
import type { NodeContext } from "./context.ts";
import { describeCustomBackends } from "./custom-backends.ts";
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
import { localModels, offeredModels, unservedModels } from "./models.ts";
import { createScheduler } from "./scheduler.ts";
import { type StatusReport, statusReport } from "./status-report.ts";
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
 * @throws BlfError `NODE_ALREADY_RUNNING`, `JOURNAL_*`, `STATUS_PORT_TAKEN`, `CHAIN_WRONG_ID`, `MODEL_*`, `ENGINE_*`
 */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { config, wallet, log } = options;
  const closing: (() => void | Promise<void>)[] = [];
  const close = async () => {
    for (const part of closing.splice(0).reverse()) await part();
  };
  try {
    const lock = lockDataDirectory(config.dir);
    closing.push(lock.release);
    checkModelFiles(config);
    await describeCustomBackends(config, log, systemClock);
    const ctx = await createContext(options);
    closing.push(async () => {
      await ctx.inference.close();
      await ctx.keyPool.close();
      await ctx.cofhe.close();
      ctx.journal.close();
    });
    await checkChain(ctx);
    reportGaps(ctx);

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
    if (status) closing.push(status.stop);
    closing.push(async () => {
      stopping.abort(new DOMException("the node stops", "AbortError"));
      await Promise.all(loops.map((loop) => loop.finished));
    });

    ctx.keyPool.start();
    await certificate.ensure(stopping.signal).catch((error: unknown) => {
      log.warn("the first attestation failed; the watchdog goes on trying", { code: errorCode(error) });
    });
    loops.push(
      startHeartbeatLoop(ctx, stopping.signal),
      startWatchdogLoop(ctx, certificate, stopping.signal),
      startOnChainHeartbeatLoop(ctx, stopping.signal),
      startModelProbeLoop(ctx, stopping.signal),
    );
    const [firstModel] = ctx.inference.models();
    if (firstModel !== undefined) await ctx.inference.warm(firstModel, stopping.signal);
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
        if (force.aborted) forced.abort(force.reason);
        else force.addEventListener("abort", () => forced.abort(force.reason), { once: true });
        const running = scheduler.running().length;
        if (running > 0) log.info("finishing the running jobs; a second signal aborts them", { count: running });
        await scheduler.drain();
        if (!force.aborted) await ctx.icl.heartbeat(AbortSignal.timeout(3000)).catch(() => {});
        await close();
        log.info("node stopped");
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Looks into the head of every model file, so that a broken one ends the start and not a job that was claimed. */
function checkModelFiles(config: Config): void {
  const offered = offeredModels(config);
  for (const [id, { path }] of Object.entries(localModels(config))) {
    if (!offered.includes(id)) continue;
    try {
      readGgufFile(path);
    } catch (error) {
      if (!(error instanceof BlfError)) throw error;
      const { code, message, hint } = error;
      throw new BlfError({
        code,
        message: `${message} (model ${id})`,
        hint,
        cause: error,
      });
    }
  }
}

function startStatus(ctx: NodeContext, report: () => StatusReport): StatusServer | undefined {
  if (ctx.config.status_port === 0) return undefined;
  const metrics = () => {
    ctx.metrics.keyPool.set(ctx.keyPool.size());
    return ctx.metrics.registry.metrics();
  };
  return startStatusServer({ host: ctx.config.status_host, port: ctx.config.status_port, report, metrics });
}

async function createContext({ config, secrets, wallet, log }: DaemonOptions): Promise<NodeContext> {
  const clock = systemClock;
  const chain = createChain({
    rpcUrl: config.rpc_url,
    fallbackUrls: config.rpc_fallback_urls,
    chainId: config.chain_id,
    explorer: config.explorer,
  });
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
      nonces: createSharedNonces({ dir: config.dir, address: wallet.address, chainId: config.chain_id, clock, log }),
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
