import { statfsSync, statSync } from "node:fs";
import type { Chain } from "../chain/clients.ts";
import type { Config } from "../config/load.ts";
import type { ModelConfig } from "../config/schema.ts";
import type { Secrets } from "../config/secrets.ts";
import type { RandomBytes } from "../crypto/random.ts";
import { detectHardware, type Hardware } from "../hardware/hardware.ts";
import { type SystemFiles, systemFiles } from "../hardware/system-files.ts";
import type { Backend } from "../inference/backend.ts";
import type { Clock } from "../lib/clock.ts";
import type { BlfError } from "../lib/errors.ts";
import type { Fetch } from "../lib/http.ts";
import type { Logger } from "../lib/log.ts";
import { once } from "./once.ts";
import { askCoordinator, type CoordinatorState } from "./state/coordinator.ts";
import { askNode, type NodeState } from "./state/node.ts";
import { askRpc, type RpcState } from "./state/rpc.ts";

/** What the doctor asks of the machine. */
export type System = {
  platform: NodeJS.Platform;
  arch: string;
  hardware(): Promise<Hardware>;
  files: SystemFiles;
  /** Version of the C library, on Linux with glibc. */
  glibc(): string | undefined;
  /** Bytes that this user may still write at a path. */
  freeDisk(path: string): number;
};

export type DoctorOptions = {
  config: Config;
  /** Whether there is a config.json. */
  exists: boolean;
  /** Why the configuration cannot be used; `config` then holds the defaults. */
  problem?: BlfError | undefined;
  /** The environment, for the variables of the runtime. */
  env: Record<string, string | undefined>;
  secrets: Secrets;
  chain: Chain;
  fetch: Fetch;
  clock: Clock;
  random: RandomBytes;
  log: Logger;
  /** Whether a model may be loaded for a probe. */
  probe: boolean;
  /** Opens a model for the probe, with a short answer. */
  openModel(modelId: string, model: ModelConfig): Backend;
  system?: System;
};

/** What the checks work with. Facts that several of them need are asked for once. */
export type DoctorContext = Required<Omit<DoctorOptions, "problem">> & {
  problem: BlfError | undefined;
  /** When something last changed in the data directory before the doctor came, in milliseconds since the epoch. */
  lastUsed: number;
  /** Aborted when the check's time is up. */
  signal: AbortSignal;
  rpc(): Promise<RpcState>;
  coordinator(): Promise<CoordinatorState>;
  node(): Promise<NodeState>;
  hardware(): Promise<Hardware>;
};

export function createDoctorContext(options: DoctorOptions): Omit<DoctorContext, "signal"> {
  const system = options.system ?? systemOfThisMachine;
  return {
    ...options,
    problem: options.problem,
    system,
    lastUsed: statSync(options.config.dir, { throwIfNoEntry: false })?.mtimeMs ?? 0,
    rpc: once(() => askRpc(options.chain)),
    coordinator: once(() => askCoordinator(options)),
    node: once(() => askNode(options)),
    hardware: once(() => system.hardware()),
  };
}

export const systemOfThisMachine: System = {
  platform: process.platform,
  arch: process.arch,
  hardware: () => detectHardware(),
  files: systemFiles,
  glibc: () => {
    const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined;
    return report?.header?.glibcVersionRuntime;
  },
  freeDisk: (path) => {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  },
};
