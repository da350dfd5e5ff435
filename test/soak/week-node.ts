import { join } from "node:path";
import { createMockAttestor } from "../../src/attestation/mock.ts";
import { createChain } from "../../src/chain/clients.ts";
import { createSender } from "../../src/chain/sender.ts";
import { createCofhe } from "../../src/cofhe/client.ts";
import { createKeyPool } from "../../src/cofhe/key-pool.ts";
import { loadConfig, maxFeePerGas } from "../../src/config/load.ts";
import { systemRandom, uniform } from "../../src/crypto/random.ts";
import { createIclClient } from "../../src/icl/client.ts";
import { createDownloader } from "../../src/ipfs/download.ts";
import { createCircuits } from "../../src/lib/circuit.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { createOwnFetch } from "../../src/lib/direct-fetch.ts";
import { ensurePrivateDirectory } from "../../src/lib/files.ts";
import { createLogger } from "../../src/lib/log.ts";
import { createInference } from "../../src/node/inference.ts";
import { openJournal } from "../../src/node/journal/journal.ts";
import { createMetrics } from "../../src/node/metrics.ts";
import { startNode } from "../../src/node/start-node.ts";
import { createNodeUploader } from "../../src/node/uploader.ts";
import { createPrivateKey } from "../../src/wallet/private-key.ts";
import { walletFromPrivateKey } from "../../src/wallet/wallet.ts";
import { fastClock } from "./fast-clock.ts";

/**
 * A node as the daemon puts it together, with the network's real sockets and a clock that runs `factor` times as fast: its loops then do a week's
 * work in minutes. Timeouts are measured by the real clock. Configured by `BLF_*`; runs until SIGTERM.
 */
const factor = Number(process.argv[2]);
const clock = fastClock(factor);
const { config } = loadConfig({ env: process.env });
ensurePrivateDirectory(config.dir);
const wallet = walletFromPrivateKey(createPrivateKey());
const log = createLogger({ level: "error", format: "json", clock, write: (line) => console.error(line) });
const circuits = createCircuits({ clock, random: () => uniform(systemRandom) });
const chain = createChain({ rpcUrl: config.rpc_url, chainId: config.chain_id, circuits });
const journal = openJournal(join(config.dir, "journal.db"), clock);
const cofhe = createCofhe({
  account: wallet.account,
  rpcUrl: config.rpc_url,
  chainId: config.chain_id,
  clock,
  log,
  circuits,
});
const inference = createInference(config, log, clock);
const { fetch } = globalThis;
const node = await startNode({
  config,
  wallet,
  sealer: await wallet.sealer("output-key"),
  icl: createIclClient({
    baseUrl: config.icl_endpoint,
    signer: wallet.account,
    fetch,
    heartbeatFetch: createOwnFetch(fetch),
    circuits,
    clock,
    timer: systemClock,
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
  }),
  cofhe,
  keyPool: createKeyPool({ cofhe, random: systemRandom, log, clock }),
  downloader: createDownloader({ fetch, gateways: [config.ipfs_gateway], circuits, clock, log }),
  uploader: createNodeUploader(config, {}, log, circuits),
  circuits,
  inference,
  attestor: createMockAttestor(),
  journal,
  metrics: createMetrics(),
  log,
  clock,
  random: systemRandom,
});
console.log(JSON.stringify({ ready: true }));
await new Promise((resolve) => process.once("SIGTERM", resolve));
await node.stop(AbortSignal.abort(new DOMException("the week is over", "AbortError")));
process.exit(0);
