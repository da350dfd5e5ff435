import { join } from "node:path";
import { createAttestor } from "../attestation/create.ts";
import { createChain } from "../chain/clients.ts";
import { createSender } from "../chain/sender.ts";
import { createSharedNonces } from "../chain/wallet-lock.ts";
import { createCofhe } from "../cofhe/client.ts";
import { createKeyPool } from "../cofhe/key-pool.ts";
import { type Config, maxFeePerGas } from "../config/load.ts";
import type { Secrets } from "../config/secrets.ts";
import { systemRandom, uniform } from "../crypto/random.ts";
import { createIclClient } from "../icl/client.ts";
import { readGgufFile } from "../inference/llama/gguf.ts";
import { createDownloader } from "../ipfs/download.ts";
import { createCircuits } from "../lib/circuit.ts";
import { systemClock } from "../lib/clock.ts";
import { createOwnFetch } from "../lib/direct-fetch.ts";
import { BlfError } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { startControlServer } from "../status/control.ts";
import type { Wallet } from "../wallet/wallet.ts";
import { checkChain } from "./check-chain.ts";
import type { NodeContext } from "./context.ts";
import { controlPath } from "./control-path.ts";
import { describeCustomBackends } from "./custom-backends.ts";
import { createInference } from "./inference.ts";
import { openJournal } from "./journal/journal.ts";
import { lockDataDirectory } from "./lock.ts";
import { createMetrics } from "./metrics.ts";
import { localModels, offeredModels } from "./models.ts";
import { type RunningNode, type StartOptions, startNode } from "./start-node.ts";
import { createNodeUploader } from "./uploader.ts";

export type DaemonOptions = StartOptions & {
  config: Config;
  secrets: Secrets;
  wallet: Wallet;
  log: Logger;
  /** Called when `blindference drain` asks for the end. */
  onDrain?: () => void;
};

/** How many jobs of this run ended, and how. */
export type RunSummary = { submitted: number; failed: number };

export type Daemon = {
  /**
   * Takes no new jobs, finishes the running ones within their deadlines, sends a last heartbeat and ends.
   * @param force aborts the running jobs; they go on after the next start if their deadline allows
   */
  stop(force: AbortSignal): Promise<RunSummary>;
};

/**
 * Puts the node together and starts its loops. The one place where the parts meet.
 * @throws BlfError `NODE_ALREADY_RUNNING`, `NODE_ACTIVE_ELSEWHERE`, `JOURNAL_*`, `STATUS_PORT_TAKEN`, `CHAIN_WRONG_ID`, `MODEL_*`, `ENGINE_*`;
 * the reason of `stop`
 */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { config, log } = options;
  const closing: (() => void | Promise<void>)[] = [];
  const close = async () => {
    for (const part of closing.splice(0).reverse()) await part();
  };
  try {
    const lock = lockDataDirectory(config.dir);
    closing.push(lock.release);
    let node: RunningNode | undefined;
    let isDraining = false;
    const control = startControlServer({
      path: controlPath(config.dir),
      random: systemRandom,
      state: () => ({ draining: isDraining, running: node?.running().length ?? 0 }),
      drain: () => {
        if (!isDraining) log.info("draining: the node takes no more jobs and ends when the running ones are done");
        isDraining = true;
        options.onDrain?.();
      },
    });
    closing.push(control.stop);
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
    const started = await startNode(ctx, options);
    node = started;
    return {
      stop: async (force) => {
        isDraining = true;
        await started.stop(force);
        await close();
        log.info("node stopped");
        return summarise(ctx);
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function summarise({ metrics }: NodeContext): Promise<RunSummary> {
  const summary = { submitted: 0, failed: 0 };
  for (const { labels, value } of (await metrics.jobs.get()).values)
    summary[labels.outcome === "submitted" ? "submitted" : "failed"] += value;
  return summary;
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

async function createContext({ config, secrets, wallet, log }: DaemonOptions): Promise<NodeContext> {
  const clock = systemClock;
  const circuits = createCircuits({ clock, random: () => uniform(systemRandom) });
  const chain = createChain({
    rpcUrl: config.rpc_url,
    fallbackUrls: config.rpc_fallback_urls,
    chainId: config.chain_id,
    explorer: config.explorer,
    circuits,
  });
  const journal = openJournal(join(config.dir, "journal.db"), clock);
  const cofhe = createCofhe({
    account: wallet.account,
    rpcUrl: config.cofhe_endpoint || config.rpc_url,
    transport: [config.rpc_url, ""].includes(config.cofhe_endpoint) ? chain.transport : undefined,
    chainId: config.chain_id,
    clock,
    log,
    circuits,
  });
  const inference = createInference(config, log, clock, { secrets });
  return {
    config,
    wallet,
    sealer: await wallet.sealer("output-key"),
    icl: createIclClient({
      baseUrl: config.icl_endpoint,
      signer: wallet.account,
      fetch: globalThis.fetch,
      heartbeatFetch: createOwnFetch(globalThis.fetch),
      circuits,
      clock,
      log,
    }),
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
      gateways: [...new Set([config.ipfs_gateway, ...config.ipfs_gateways])],
      circuits,
      clock,
      log,
    }),
    uploader: createNodeUploader(config, secrets, log, circuits),
    circuits,
    inference,
    attestor: createAttestor(config.attestation_backend, secrets),
    journal,
    metrics: createMetrics(),
    log,
    clock,
    random: systemRandom,
  };
}
