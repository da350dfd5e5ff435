import type { Attestor } from "../attestation/attestation.ts";
import type { Chain } from "../chain/clients.ts";
import type { Sender } from "../chain/sender.ts";
import type { Cofhe } from "../cofhe/cofhe.ts";
import type { KeyPool } from "../cofhe/key-pool.ts";
import type { Config } from "../config/load.ts";
import type { RandomBytes } from "../crypto/random.ts";
import type { Sealer } from "../crypto/sealing.ts";
import type { IclClient } from "../icl/client.ts";
import type { Downloader } from "../ipfs/download.ts";
import type { Uploader } from "../ipfs/upload.ts";
import type { Circuits } from "../lib/circuit.ts";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import type { Wallet } from "../wallet/wallet.ts";
import type { Inference } from "./inference.ts";
import type { Journal } from "./journal/journal.ts";
import type { Metrics } from "./metrics.ts";

/** Everything that the daemon's parts work with. Built in one place (daemon.ts) and passed on. */
export type NodeContext = {
  config: Config;
  wallet: Wallet;
  /** Seals what must survive a crash and is secret. */
  sealer: Sealer;
  icl: IclClient;
  chain: Chain;
  sender: Sender;
  cofhe: Cofhe;
  keyPool: KeyPool;
  downloader: Downloader;
  /** Undefined when no upload service is configured; then this node leads no jobs. */
  uploader: Uploader | undefined;
  /** How the services that this node depends on have answered of late. */
  circuits?: Circuits;
  inference: Inference;
  attestor: Attestor;
  journal: Journal;
  metrics: Metrics;
  log: Logger;
  clock: Clock;
  random: RandomBytes;
};
