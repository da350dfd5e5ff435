import { createMockAttestor } from "../../src/attestation/mock.ts";
import type { Sender } from "../../src/chain/sender.ts";
import { loadConfig } from "../../src/config/load.ts";
import type { ConfigFile } from "../../src/config/schema.ts";
import { systemRandom } from "../../src/crypto/random.ts";
import type { IclClient } from "../../src/icl/client.ts";
import type { NodeContext } from "../../src/node/context.ts";
import { createInference } from "../../src/node/inference.ts";
import { openJournal } from "../../src/node/journal/journal.ts";
import { createMetrics } from "../../src/node/metrics.ts";
import { createPrivateKey } from "../../src/wallet/private-key.ts";
import { walletFromPrivateKey } from "../../src/wallet/wallet.ts";
import { captureLog } from "../helpers/capture-log.ts";
import { type ManualClock, manualClock } from "../helpers/manual-clock.ts";

/** What a part of the node that the test does not expect to be used would be. */
function untouchable<T extends object>(name: string): T {
  return new Proxy({} as T, {
    get: (_target, property) => {
      throw new Error(`${name}.${String(property)} was not expected to be used`);
    },
  });
}

export type StubOptions = {
  clock?: ManualClock;
  config?: ConfigFile;
  directory?: string;
  icl?: Partial<IclClient>;
  sender?: Sender;
  overrides?: Partial<NodeContext>;
};

/**
 * A context for what needs time rather than a network: real journal in memory, real metrics, log and mock model, a clock that stands still,
 * and a coordinator that answers what the test says.
 */
export async function stubContext(options: StubOptions = {}) {
  const clock = options.clock ?? manualClock();
  const log = captureLog(clock);
  const directory = options.directory ?? "/nonexistent/blindference";
  const flags = { network: "devnet", mock_model_ids: ["mock-model"], ...options.config };
  const { config } = loadConfig({ env: { BLF_CONFIG_DIR: directory }, flags });
  const wallet = walletFromPrivateKey(createPrivateKey());
  const ctx: NodeContext = {
    config,
    wallet,
    sealer: await wallet.sealer("output-key"),
    icl: { ...untouchable<IclClient>("icl"), clockOffset: () => undefined, ...options.icl } as IclClient,
    chain: untouchable("chain"),
    sender: options.sender ?? untouchable("sender"),
    cofhe: untouchable("cofhe"),
    keyPool: { take: () => Promise.reject(new Error("no key")), size: () => 3, start: () => {}, close: async () => {} },
    downloader: { download: async () => new Uint8Array(100) },
    uploader: { upload: () => Promise.reject(new Error("no upload")) },
    inference: createInference(config, log.log, clock),
    attestor: createMockAttestor(),
    journal: openJournal(":memory:", clock),
    metrics: createMetrics(),
    log: log.log,
    clock,
    random: systemRandom,
    ...options.overrides,
  };
  return { ctx, clock, log };
}
