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
import type { Wallet } from "../wallet/wallet.ts";
import type { NodeContext } from "./context.ts";
import { describeCustomBackends } from "./custom-backends.ts";
import { createInference } from "./inference.ts";
import { openJournal } from "./journal/journal.ts";
import { lockDataDirectory } from "./lock.ts";
import { createMetrics } from "./metrics.ts";
import { localModels, offeredModels } from "./models.ts";
import { startNode } from "./start-node.ts";
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
  const { config, log } = options;
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
    const node = await startNode(ctx);
    return {
      stop: async (force) => {
        await node.stop(force);
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
  const inference = createInference(config, log, clock, { secrets });
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
