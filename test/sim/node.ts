import type { Address } from "viem";
import { errorCode } from "../../src/lib/errors.ts";
import type { NodeContext } from "../../src/node/context.ts";
import type { JobKey } from "../../src/node/journal/job-record.ts";
import { lockDataDirectory } from "../../src/node/lock.ts";
import type { Metrics } from "../../src/node/metrics.ts";
import { type RunningNode, startNode } from "../../src/node/start-node.ts";
import type { SimChain } from "./chain.ts";
import type { SimCofhe } from "./cofhe.ts";
import { createContext } from "./context.ts";
import type { Coordinator, SimRequest } from "./coordinator.ts";
import { createDisk, type Disk } from "./disk.ts";
import { createLife, type Life } from "./life.ts";
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

export type Run = {
  number: number;
  life: Life;
  since: number;
  node: RunningNode | undefined;
  /** Whether it knows if it is alone, or gave up asking. */
  isBlind: boolean;
};

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
    const current: Run = { number, life, since: time.now(), node: undefined, isBlind: false };
    run = current;
    trace.add(name, `starts, run ${number}`);
    const onBlind = () => {
      current.isBlind = true;
    };
    const giveUp = (error: unknown) => {
      if (life.isOver()) return;
      if (errorCode(error) !== "NODE_ACTIVE_ELSEWHERE" || !facts.impersonated.has(address)) {
        facts.violations.push(`${name} does not start: ${errorCode(error)} ${String(error)}`);
        return;
      }
      trace.add(name, "leaves the field to its doppelganger");
      end(false);
      restartIn(10_000);
    };
    let ctx: NodeContext;
    try {
      ctx = createContext(options, { name, life, number, disk, nonceHint, offset: () => offset, onBlind });
    } catch (error) {
      if (!life.isOver()) facts.violations.push(`${name} has no context: ${errorCode(error)} ${String(error)}`);
      return;
    }
    startNode(ctx, { onFatal: giveUp }).then((node) => {
      current.node = node;
      if (isRetired) stop(false);
    }, giveUp);
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

function isShort(argument: unknown): argument is string {
  return typeof argument === "string" && argument.length < 70;
}
