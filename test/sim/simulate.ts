import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Address } from "viem";
import { finishedStates } from "../../src/node/journal/states.ts";
import type { Metrics } from "../../src/node/metrics.ts";
import { createSimChain } from "./chain.ts";
import { createSimCofhe } from "./cofhe.ts";
import { type Coordinator, createCoordinator } from "./coordinator.ts";
import type { SimJob } from "./jobs.ts";
import { createSimNode, type SimNode, type SimNodeOptions } from "./node.ts";
import { drawPlan } from "./plan.ts";
import { createPrng } from "./prng.ts";
import { createStorage } from "./storage.ts";
import { useImmediateCrypto } from "./subtle.ts";
import { createTime } from "./time.ts";
import { createTrace } from "./trace.ts";
import { judge, type Verdict } from "./verdict.ts";
import { createWatch } from "./watch.ts";
import { createFacts, type World } from "./world.ts";

export type SimResult = Verdict & {
  seed: number;
  violations: string[];
  /** The last events before the end. */
  trace: string[];
  checksum: string;
  jobs: number;
  crashes: number;
  virtualMs: number;
};

export type SimOptions = {
  /** Shared by all runs: each one made anew would watch the event loop for ever. */
  metrics: Metrics;
  /** How many of the last events are given back. */
  events?: number;
};

/** Where a plan ends at the latest: the longest claim, what comes after it, and the watchdog's period. */
const longestMs = 14 * 60_000;
const start = 1_750_000_000_000;

/** Runs a small network through what the seed has in store for it. The same seed gives the same run. */
export async function simulate(seed: number, options: SimOptions): Promise<SimResult> {
  const { metrics, events = 60 } = options;
  const prng = createPrng(String(seed));
  const time = createTime(start);
  const trace = createTrace(() => time.now() - start);
  const plan = drawPlan(prng.fork("plan"));
  const facts = createFacts();
  const world: World = { time, begin: start, plan, prng, trace, facts };
  const shared = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
  const directory = mkdtempSync(join(shared, "blf-sim-"));
  const restoreCrypto = useImmediateCrypto();
  const unhandled = (error: unknown) => facts.violations.push(`unhandled rejection: ${String(error)}`);
  process.on("unhandledRejection", unhandled);
  const nodes: SimNode[] = [];
  try {
    const addresses = Array.from({ length: plan.nodes }, (_, index) => `0x${String(index + 1).repeat(40)}` as Address);
    const cofhe = createSimCofhe(world);
    const storage = createStorage(world);
    const chain = createSimChain(world);
    const coordinator = createCoordinator(world, addresses, { cofhe, storage });
    const watch = createWatch(world);
    for (const [index, address] of addresses.entries()) {
      const dir = mkdtempSync(join(directory, "node-"));
      const onRequest: SimNodeOptions["onRequest"] = (request) => watch.request(nodes[index]!, request);
      const onClaimed: SimNodeOptions["onClaimed"] = (key, deadline) => watch.expectEnd(nodes[index]!, key, deadline);
      nodes.push(
        createSimNode({
          world,
          index,
          address,
          dir,
          metrics,
          coordinator,
          chain,
          cofhe,
          storage,
          onRequest,
          onClaimed,
        }),
      );
    }
    for (const node of nodes) time.after(prng.between(0, 2000), node.start);
    schedule(world, nodes, chain);
    impersonate(world, nodes, coordinator);

    const isOver = () => time.now() > start + plan.quietAt + 40_000 && allEnded(coordinator.bought, nodes);
    await play(world, nodes, () => time.now() > start + plan.quietAt + longestMs, isOver);
    for (const node of nodes) node.stop(false, true);
    const stopBy = time.now() + 60_000;
    await play(
      world,
      nodes,
      () => time.now() > stopBy,
      () => nodes.every((node) => !node.run()),
    );
    if (facts.violations.length === 0)
      for (const node of nodes) if (node.run()) facts.violations.push(`${node.name} does not end`);
    const verdict = judge({ world, jobs: coordinator.bought, nodes, chain, cofhe, storage });
    await new Promise((resolve) => setImmediate(resolve));
    return {
      ...verdict,
      seed,
      violations: facts.violations,
      trace: trace.last(events),
      checksum: trace.checksum(),
      jobs: coordinator.bought.length,
      crashes: nodes.reduce((sum, node) => sum + node.crashes(), 0),
      virtualMs: time.now() - start,
    };
  } finally {
    for (const node of nodes) node.disk.cut(false);
    process.off("unhandledRejection", unhandled);
    restoreCrypto();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Goes through time until the end, and stops at the first thing that must not be. */
async function play(world: World, nodes: SimNode[], isLate: () => boolean, isOver: () => boolean): Promise<void> {
  const { time, plan, facts } = world;
  let lookAt = 0;
  for (let events = 0; facts.violations.length === 0; events++) {
    if (!time.step()) {
      if (!isOver()) facts.violations.push("nothing is left that could happen");
      return;
    }
    for (const node of nodes) {
      const count = node.run()?.node?.running().length ?? 0;
      if (count > plan.maxConcurrentJobs) facts.violations.push(`${node.name} does ${count} jobs at once`);
    }
    if (events % 512 === 511) await new Promise((resolve) => setImmediate(resolve));
    if (time.now() < lookAt) continue;
    lookAt = time.now() + 10_000;
    if (isLate() || isOver()) return;
  }
}

/** Whether all seats are taken and all jobs have come to an end. */
function allEnded(jobs: readonly SimJob[], nodes: readonly SimNode[]): boolean {
  return jobs.every((job) =>
    job.seats.every((seat) => {
      const node = nodes.find(({ address }) => address === seat.node);
      const record = node?.disk.inspect().find({ taskId: job.taskId, role: seat.role });
      if (!record) return job.isOver || job.isForgotten;
      return finishedStates.includes(record.state);
    }),
  );
}

function schedule(world: World, nodes: SimNode[], chain: ReturnType<typeof createSimChain>): void {
  const { time, plan } = world;
  for (const { at, node } of plan.kills) time.after(at, nodes[node]!.kill);
  for (const { at, node, force } of plan.stops) time.after(at, () => nodes[node]!.stop(force));
  for (const { at, node } of plan.secondStarts)
    time.after(at, () => {
      if (nodes[node]!.run()) nodes[node]!.start();
    });
  for (const { at, node, byMs } of plan.clockJumps) time.after(at, () => nodes[node]!.jump(byMs));
  for (const { at, node } of plan.foreignTransactions) time.after(at, () => chain.spend(nodes[node]!.address));
}

/** The other installation's heartbeats, once a minute. */
function impersonate({ time, begin, plan, facts, trace }: World, nodes: SimNode[], coordinator: Coordinator): void {
  for (const { from, to, node } of plan.doppelgangers)
    for (let at = from; at < to; at += 60_000)
      time.after(begin + at - time.now(), () => {
        const { address, name } = nodes[node]!;
        trace.add(name, "has a doppelganger");
        coordinator.impersonate(address);
        facts.impersonated.add(address);
        facts.foreignHeard.set(address, Math.floor(time.now() / 1000) * 1000);
      });
}
