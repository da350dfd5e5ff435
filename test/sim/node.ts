import type { Address } from "viem";
import { createMockAttestor } from "../../src/attestation/mock.ts";
import type { Nonces } from "../../src/chain/nonces.ts";
import { nonceTrustMs } from "../../src/chain/nonces.ts";
import { createSender } from "../../src/chain/sender.ts";
import { createKeyPool } from "../../src/cofhe/key-pool.ts";
import { loadConfig, maxFeePerGas } from "../../src/config/load.ts";
import type { ConfigFile } from "../../src/config/schema.ts";
import { createIclClient } from "../../src/icl/client.ts";
import type { Clock } from "../../src/lib/clock.ts";
import { errorCode } from "../../src/lib/errors.ts";
import { createLock } from "../../src/lib/lock.ts";
import { createLogger, type Logger } from "../../src/lib/log.ts";
import type { NodeContext } from "../../src/node/context.ts";
import type { JobKey } from "../../src/node/journal/job-record.ts";
import type { Journal } from "../../src/node/journal/journal.ts";
import { lockDataDirectory } from "../../src/node/lock.ts";
import type { Metrics } from "../../src/node/metrics.ts";
import { type RunningNode, startNode } from "../../src/node/start-node.ts";
import type { Wallet } from "../../src/wallet/wallet.ts";
import type { SimChain } from "./chain.ts";
import type { SimCofhe } from "./cofhe.ts";
import type { Coordinator, SimRequest } from "./coordinator.ts";
import { createDisk, type Disk } from "./disk.ts";
import { canary, modelId } from "./jobs.ts";
import { createLife, type Life, lifeClock } from "./life.ts";
import { createModel } from "./model.ts";
import { createFetch } from "./network.ts";
import { simSealer } from "./sealer.ts";
import type { SimStorage } from "./storage.ts";
import { isNoisy, type World } from "./world.ts";

/** A machine with a data directory, on which a node runs, dies and runs again. */
export type SimNode = {
  name: string;
  address: Address;
  disk: Disk;
  start(): void;
  kill(): void;
  /** As by SIGTERM; with `force` a second signal follows. */
  stop(force: boolean, forGood?: boolean): void;
  /** How wrong its clock is, in milliseconds. */
  clockOffset(): number;
  /** When its clock jumped last, milliseconds since the epoch. */
  jumpedAt(): number;
  jump(byMs: number): void;
  /** Whether its disk was full in the last `ms`. */
  wasFull(ms: number): boolean;
  run(): Run | undefined;
  /** How often it died so far. */
  crashes(): number;
};

export type Run = { number: number; life: Life; since: number; node: RunningNode | undefined };

export type SimNodeOptions = {
  world: World;
  index: number;
  address: Address;
  dir: string;
  metrics: Metrics;
  coordinator: Coordinator;
  chain: SimChain;
  cofhe: SimCofhe;
  storage: SimStorage;
  onRequest(request: SimRequest): void;
  onClaimed(key: JobKey, deadline: number): void;
};

const keyStore = "0x7000000000000000000000000000000000000007";

export function createSimNode(options: SimNodeOptions): SimNode {
  const { world, index, address, dir } = options;
  const { time, plan, trace, facts } = world;
  const name = `node${index}`;
  const prng = world.prng.fork(name);
  const within = ({ from, to }: { from: number; to: number }) =>
    time.now() >= world.begin + from && time.now() < world.begin + to;
  const disk = createDisk({
    path: `${dir}/journal.db`,
    isFull: () => plan.diskFull.some((span) => span.node === index && within(span)),
    canLosePower: plan.losesPower,
    onWrite: (method, args) => {
      trace.add(name, `journal ${method} ${args.filter(isShort).join(" ")}`);
      const [key, state, change] = args as [JobKey, string, { claimDeadline?: number } | undefined];
      if (state === "claimed" && change?.claimDeadline) options.onClaimed(key, change.claimDeadline);
    },
  });
  const nonceHint = { next: 0, writtenAt: 0 };
  let offset = 0;
  let jumpedAt = 0;
  let runs = 0;
  let run: Run | undefined;
  let isRetired = false;
  let crashes = 0;
  let release = () => {};

  const end = (losesPower: boolean) => {
    run?.life.end();
    run = undefined;
    release();
    disk.cut(losesPower);
  };

  const restartIn = (ms: number) => {
    if (!isRetired) time.after(ms, start);
  };

  const start = (): void => {
    const number = ++runs;
    let lock: { release(): void };
    try {
      lock = lockDataDirectory(dir);
    } catch (error) {
      if (errorCode(error) !== "NODE_ALREADY_RUNNING")
        facts.violations.push(`${name} cannot lock: ${errorCode(error)}`);
      return;
    }
    if (run) facts.violations.push(`${name} runs twice at once`);
    release = lock.release;
    const crashAt = isNoisy(world) && prng.chance(plan.crashes) ? prng.int(1, plan.crashWithin) : undefined;
    const life = createLife({
      crashAt,
      onCrash: (point) => {
        trace.add(name, `CRASHES at ${point}`);
        crashes++;
        end(plan.losesPower);
        restartIn(prng.between(500, 10_000));
      },
    });
    const current: Run = { number, life, since: time.now(), node: undefined };
    run = current;
    trace.add(name, `starts, run ${number}`);
    let ctx: NodeContext;
    try {
      ctx = createContext(options, { name, life, number, disk, nonceHint, offset: () => offset });
    } catch (error) {
      if (!life.isOver()) facts.violations.push(`${name} has no context: ${errorCode(error)} ${String(error)}`);
      return;
    }
    startNode(ctx).then(
      (node) => {
        current.node = node;
        if (isRetired) stop(false);
      },
      (error: unknown) => {
        if (!life.isOver()) facts.violations.push(`${name} does not start: ${errorCode(error)} ${String(error)}`);
      },
    );
  };

  const stop = (force: boolean): void => {
    const stopped = run;
    if (!stopped?.node) return;
    trace.add(name, force ? "is stopped with force" : "is stopped");
    const signal = new AbortController();
    if (force) time.after(prng.between(0, 20_000), () => signal.abort(new DOMException("stop", "AbortError")));
    stopped.node.stop(signal.signal).then(
      () => {
        if (stopped.life.isOver()) return;
        trace.add(name, "has stopped");
        end(false);
        restartIn(prng.between(500, 30_000));
      },
      (error: unknown) => {
        if (!stopped.life.isOver()) facts.violations.push(`${name} does not stop: ${errorCode(error)}`);
      },
    );
  };

  return {
    name,
    address,
    disk,
    start,
    kill: () => {
      if (!run) return;
      trace.add(name, "is KILLED");
      crashes++;
      end(plan.losesPower);
      restartIn(prng.between(500, 10_000));
    },
    stop: (force, forGood = false) => {
      isRetired ||= forGood;
      stop(force);
    },
    clockOffset: () => offset,
    jumpedAt: () => jumpedAt,
    jump: (byMs) => {
      trace.add(name, `clock jumps by ${Math.round(byMs)} ms`);
      offset += byMs;
      jumpedAt = time.now();
    },
    wasFull: (ms) =>
      plan.diskFull.some(
        ({ node, from, to }) => node === index && time.now() > world.begin + from && time.now() - ms < world.begin + to,
      ),
    run: () => run,
    crashes: () => crashes,
  };
}

type RunParts = {
  name: string;
  life: Life;
  number: number;
  disk: Disk;
  nonceHint: { next: number; writtenAt: number };
  offset: () => number;
};

function createContext(options: SimNodeOptions, parts: RunParts): NodeContext {
  const { world, address, dir, coordinator, chain, cofhe, storage } = options;
  const { name, life, number } = parts;
  const clock = lifeClock(world.time, life, parts.offset);
  const prng = world.prng.fork(`${name} ${number}`);
  const log = createSimLog(world, parts, clock);
  const flags: ConfigFile = {
    network: "devnet",
    node_address: address,
    mock_model_ids: [modelId],
    max_concurrent_jobs: world.plan.maxConcurrentJobs,
    prompt_key_store_address: keyStore,
    status_port: 0,
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

function createSimLog(world: World, { name, life }: RunParts, clock: Clock): Logger {
  const write = (line: string) => {
    if (life.isOver()) return;
    if (line.includes(canary)) world.facts.violations.push(`${name} logged a secret: ${line}`);
    const { level, message, code, jobId } = JSON.parse(line) as Record<string, string>;
    if (level === "debug") return;
    world.trace.add(name, `${level}: ${[message, code, jobId?.slice(0, 8)].filter(Boolean).join(" ")}`);
  };
  return createLogger({ level: "debug", format: "json", clock, write });
}

function isShort(argument: unknown): argument is string {
  return typeof argument === "string" && argument.length < 70;
}
