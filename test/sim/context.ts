import { createMockAttestor } from "../../src/attestation/mock.ts";
import type { Nonces } from "../../src/chain/nonces.ts";
import { nonceTrustMs } from "../../src/chain/nonces.ts";
import { createSender } from "../../src/chain/sender.ts";
import { createKeyPool } from "../../src/cofhe/key-pool.ts";
import { loadConfig, maxFeePerGas } from "../../src/config/load.ts";
import type { ConfigFile } from "../../src/config/schema.ts";
import { createIclClient } from "../../src/icl/client.ts";
import type { Clock } from "../../src/lib/clock.ts";
import { createLock } from "../../src/lib/lock.ts";
import { createLogger, type Logger } from "../../src/lib/log.ts";
import type { NodeContext } from "../../src/node/context.ts";
import type { Journal } from "../../src/node/journal/journal.ts";
import type { Wallet } from "../../src/wallet/wallet.ts";
import type { Disk } from "./disk.ts";
import { canary, modelId } from "./jobs.ts";
import { type Life, lifeClock } from "./life.ts";
import { createModel } from "./model.ts";
import { createFetch } from "./network.ts";
import type { SimNodeOptions } from "./node.ts";
import { simSealer } from "./sealer.ts";

/** So long another installation must have been silent; short, since a run is. */
export const doppelgangerWaitMs = 90_000;

const keyStore = "0x7000000000000000000000000000000000000007";

/** What belongs to one run. */
export type RunParts = {
  name: string;
  life: Life;
  number: number;
  disk: Disk;
  nonceHint: { next: number; writtenAt: number };
  offset: () => number;
  /** Called when the node starts without having been told whether it is alone. */
  onBlind(): void;
};

/** A node's context as `createContext` of the daemon makes it, over the simulated parts. */
export function createContext(options: SimNodeOptions, parts: RunParts): NodeContext {
  const { world, address, dir, coordinator, chain, cofhe, storage } = options;
  const { name, life, number } = parts;
  const clock = lifeClock(world.time, life, parts.offset);
  const prng = world.prng.fork(`${name} ${number}`);
  const log = createSimLog(options, parts, clock);
  const flags: ConfigFile = {
    network: "devnet",
    node_address: address,
    mock_model_ids: [modelId],
    max_concurrent_jobs: world.plan.maxConcurrentJobs,
    prompt_key_store_address: keyStore,
    status_port: 0,
    doppelganger_wait_s: doppelgangerWaitMs / 1000,
  };
  const { config } = loadConfig({ env: { BLF_CONFIG_DIR: dir }, flags });
  const journal: Journal = parts.disk.open(clock, life);
  const client = chain.client(life, name);
  const fetch = createFetch({ ...options, life, lifeNumber: number, node: address, name });
  // What is signed is unique, and that is all that counts here.
  const signer = {
    address,
    signMessage: async ({ message }: { message: string }) => `0x${Bun.hash(message + address)}` as const,
  };
  const ownCofhe = cofhe.client(life, address, name);
  const taskOf = (prompt: string) => [...coordinator.jobs.values()].find((job) => job.prompt === prompt)?.taskId ?? "";
  const inference = createModel({ world, life, node: address, name, lifeNumber: number, taskOf });
  return {
    config,
    wallet: { address, account: signer, sealer: async () => simSealer(address) } as unknown as Wallet,
    sealer: simSealer(address),
    icl: createIclClient({ baseUrl: "http://127.0.0.1:9", signer, fetch, clock, timer: clock, log }),
    chain: client,
    sender: createSender({
      chain: client,
      account: chain.account(address),
      store: journal.transactions,
      clock,
      log,
      maxFeePerGas: maxFeePerGas(config),
      nonces: createHintedNonces(parts.nonceHint, clock),
    }),
    cofhe: ownCofhe,
    keyPool: createKeyPool({ cofhe: ownCofhe, random: prng.bytes, log, clock, canWork: () => !inference.isBusy() }),
    ...storage.client(life, name),
    inference,
    attestor: createMockAttestor(),
    journal,
    metrics: options.metrics,
    log,
    clock,
    random: prng.bytes,
  };
}

/** The lock dies with the process; the hint which nonce was the last one lies on the disk, as that of `createSharedNonces`. */
function createHintedNonces(hint: { next: number; writtenAt: number }, clock: Clock): Nonces {
  const inTurn = createLock();
  return {
    exclusively: (action) =>
      inTurn(async () => {
        const age = clock.now() - hint.writtenAt;
        const shared = { next: age >= 0 && age < nonceTrustMs ? hint.next : 0 };
        const before = shared.next;
        try {
          return await action(shared);
        } finally {
          if (shared.next !== before) Object.assign(hint, { next: shared.next, writtenAt: clock.now() });
        }
      }),
  };
}

function hadFullDisk({ plan, time, begin }: SimNodeOptions["world"], index: number): boolean {
  return plan.diskFull.some(({ node, from }) => node === index && begin + from < time.now());
}

function createSimLog(
  { world, address, index }: SimNodeOptions,
  { name, life, onBlind }: RunParts,
  clock: Clock,
): Logger {
  const write = (line: string) => {
    if (life.isOver()) return;
    if (line.includes(canary)) world.facts.violations.push(`${name} logged a secret: ${line}`);
    const { level, message, code, jobId } = JSON.parse(line) as Record<string, string>;
    if (message!.startsWith("another node was active")) {
      // What it could not write down of itself on a full disk looks like another's, so that the next start waits.
      if (hadFullDisk(world, index)) world.facts.impersonated.add(address);
      if (!world.facts.impersonated.has(address)) world.facts.violations.push(`${name} takes itself for another node`);
    }
    if (message!.endsWith("going on without knowing")) onBlind();
    if (level === "debug") return;
    world.trace.add(name, `${level}: ${[message, code, jobId?.slice(0, 8)].filter(Boolean).join(" ")}`);
  };
  return createLogger({ level: "debug", format: "json", clock, write });
}
