import { describe, expect, test } from "bun:test";
import type { TransactionReceipt } from "viem";
import type { SendRequest } from "../../../src/chain/sender.ts";
import { BlfError } from "../../../src/lib/errors.ts";
import type { CertificateKeeper } from "../../../src/node/certificate.ts";
import type { NodeContext } from "../../../src/node/context.ts";
import { startHeartbeatLoop } from "../../../src/node/loops/heartbeat.ts";
import { startModelProbeLoop } from "../../../src/node/loops/model-probe.ts";
import { startOnChainHeartbeatLoop } from "../../../src/node/loops/on-chain-heartbeat.ts";
import { startPollLoop } from "../../../src/node/loops/poller.ts";
import { startWatchdogLoop } from "../../../src/node/loops/watchdog.ts";
import type { Scheduler } from "../../../src/node/scheduler.ts";
import { manualClock } from "../../helpers/manual-clock.ts";
import { assignment } from "../journal/fixtures.ts";
import { stubContext } from "../stub-context.ts";

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const refused = (code: string) => new BlfError({ code, message: "no", hint: "none" });

/** A signal for the loops of one test. */
function stopper() {
  const controller = new AbortController();
  return { signal: controller.signal, stop: () => controller.abort(new DOMException("stop", "AbortError")) };
}

test("the coordinator gets a heartbeat every 60 s, to the millisecond, for a week", async () => {
  const times: number[] = [];
  const { ctx, clock } = await stubContext({ icl: { heartbeat: async () => void times.push(clock.now()) } });
  const { signal, stop } = stopper();
  const begin = clock.now();
  const loop = startHeartbeatLoop(ctx, signal);
  await clock.run(7 * day);
  stop();
  await loop.finished;
  expect(times).toHaveLength(7 * 24 * 60 + 1);
  expect(times.every((time, index) => time === begin + index * minute)).toBe(true);
});

describe("the on-chain heartbeat", () => {
  const registry = "0x72C0Ead949Fd2C346598a30AF1A69c3c5Cb86082" as const;

  /** A node whose chain remembers heartbeats; every start is a new run of the daemon over the same journal. */
  async function registeredNode(options: { registeredAgo: number; registered?: boolean }) {
    const clock = manualClock();
    let last = clock.now() - options.registeredAgo;
    const sent: { at: number; purpose: string }[] = [];
    let isDown = false;
    const send = async ({ purpose }: SendRequest) => {
      if (isDown) throw refused("CHAIN_UNREACHABLE");
      last = clock.now();
      sent.push({ at: clock.now(), purpose });
      return { transactionHash: `0x${"a".repeat(64)}` } as unknown as TransactionReceipt;
    };
    const client = { readContract: async () => ({ lastHeartbeat: BigInt(Math.floor(last / 1000)) }) };
    const { ctx } = await stubContext({
      clock,
      config: { registered_on_chain: options.registered ?? true, node_registry_address: registry },
      sender: { send },
      overrides: { chain: { client } as unknown as NodeContext["chain"] },
    });
    const run = async (ms: number) => {
      const { signal, stop } = stopper();
      const loop = startOnChainHeartbeatLoop(ctx, signal);
      await clock.run(ms);
      stop();
      await loop.finished;
    };
    const fail = (down: boolean) => {
      isDown = down;
    };
    return { clock, sent, run, fail, silence: () => clock.now() - last };
  }

  test("is sent every ten days, not more often however often the node starts", async () => {
    const node = await registeredNode({ registeredAgo: 0 });
    for (let days = 0; days < 40; days++) {
      await node.run(day / 2);
      await node.run(day / 2);
      expect(node.silence()).toBeLessThan(11 * day);
    }
    expect(node.sent.length).toBeWithin(3, 5);
    const gaps = node.sent.slice(1).map(({ at }, index) => at - node.sent[index]!.at);
    for (const gap of gaps) expect(gap).toBeWithin(10 * day, 10 * day + 13 * hour);
    expect(new Set(node.sent.map(({ purpose }) => purpose)).size).toBe(node.sent.length);
  });

  test("counts from the registration, not from the first start of the node", async () => {
    const node = await registeredNode({ registeredAgo: 9 * day });
    await node.run(1.5 * day);
    expect(node.sent).toHaveLength(1);
    expect(node.silence()).toBeLessThan(day);
  });

  test("is tried again when the chain is away, and sent once", async () => {
    const node = await registeredNode({ registeredAgo: 10 * day });
    node.fail(true);
    await node.run(2 * hour);
    expect(node.sent).toHaveLength(0);
    node.fail(false);
    await node.run(2 * hour);
    expect(node.sent).toHaveLength(1);
  });

  test("is none of the business of a node that is not registered", async () => {
    const node = await registeredNode({ registeredAgo: 100 * day, registered: false });
    await node.run(30 * day);
    expect(node.sent).toEqual([]);
  });
});

/** A keeper that counts; `due` is what `ensure` without force does. */
function countingKeeper(): CertificateKeeper & { checks: number; forced: number } {
  const keeper = {
    checks: 0,
    forced: 0,
    expiresAt: () => 0,
    hash: () => "",
    ensure: async (_signal: AbortSignal, force = false) => {
      if (force) keeper.forced++;
      else keeper.checks++;
    },
  };
  return keeper;
}

describe("the watchdog", () => {
  test("looks at the certificate and at the coordinator's list every ten minutes", async () => {
    let listed = true;
    const { ctx, clock, log } = await stubContext({
      icl: { listsThisNode: async () => listed },
      overrides: { random: (length) => new Uint8Array(length) },
    });
    const { signal, stop } = stopper();
    const keeper = countingKeeper();
    const loop = startWatchdogLoop(ctx, keeper, signal);
    await clock.run(6 * hour);
    expect(keeper.checks).toBe(37);
    expect(keeper.forced).toBe(0);
    listed = false;
    await clock.run(10 * minute);
    expect(keeper.forced).toBe(1);
    expect(log.lines({ level: "warn" })[0]!.message).toContain("does not list this node");
    listed = true;
    await clock.run(hour);
    expect(keeper.forced).toBe(1);
    stop();
    await loop.finished;
  });
});

/** A scheduler that only takes note. */
function notingScheduler(): Scheduler & { offered: string[]; room: boolean } {
  const scheduler = {
    offered: [] as string[],
    room: true,
    offer: (assignments: { jobId: string }[]) => void scheduler.offered.push(...assignments.map(({ jobId }) => jobId)),
    resume: () => {},
    isDraining: () => false,
    hasRoom: () => scheduler.room,
    running: () => [],
    drain: async () => {},
  };
  return scheduler;
}

describe("the poller", () => {
  async function polling(assignments: () => Promise<ReturnType<typeof assignment>[]>) {
    const times: number[] = [];
    const { ctx, clock, log } = await stubContext({
      icl: {
        assignments: () => {
          times.push(clock.now());
          return assignments();
        },
      },
    });
    const keeper = countingKeeper();
    const scheduler = notingScheduler();
    const { signal, stop } = stopper();
    const loop = startPollLoop(ctx, keeper, scheduler, signal);
    return { clock, log, keeper, scheduler, loop, times, stop };
  }

  test("asks about every five seconds, at once when poked, and passes on what it gets", async () => {
    const poller = await polling(async () => [assignment("0x01"), assignment("0x02")]);
    await poller.clock.run(60_000);
    const gaps = poller.times.slice(1).map((time, index) => time - poller.times[index]!);
    for (const gap of gaps) expect(gap).toBeWithin(4500, 5001);
    expect(poller.scheduler.offered.slice(0, 2)).toEqual(["0x01", "0x02"]);
    const before = poller.times.length;
    poller.loop.poke();
    await poller.clock.run(1);
    expect(poller.times).toHaveLength(before + 1);
    poller.stop();
    await poller.loop.finished;
  });

  test("asks for nothing while there is no room", async () => {
    const poller = await polling(async () => []);
    await poller.clock.run(1);
    poller.scheduler.room = false;
    const before = poller.times.length;
    await poller.clock.run(60_000);
    expect(poller.times).toHaveLength(before);
    poller.scheduler.room = true;
    poller.loop.poke();
    await poller.clock.run(1);
    expect(poller.times).toHaveLength(before + 1);
    poller.stop();
  });

  test("attests again when the coordinator does not know the node, and asks again at once", async () => {
    let known = false;
    const poller = await polling(async () => {
      if (known) return [assignment("0x01")];
      known = true;
      throw refused("ICL_UNKNOWN");
    });
    await poller.clock.run(1);
    expect(poller.keeper.forced).toBe(1);
    expect(poller.times).toHaveLength(2);
    expect(poller.times[1]).toBe(poller.times[0]!);
    expect(poller.scheduler.offered).toEqual(["0x01"]);
    expect(poller.loop.state().failures).toBe(0);
    poller.stop();
  });

  test("does not attest again because of any other error", async () => {
    const poller = await polling(() => Promise.reject(refused("ICL_FAILED")));
    await poller.clock.run(30_000);
    expect(poller.keeper.forced).toBe(0);
    expect(poller.loop.state().lastError).toBe("ICL_FAILED");
    poller.stop();
  });
});

test("unhealthy models are probed about every minute", async () => {
  const probes: number[] = [];
  const { ctx, clock } = await stubContext();
  const inference = { ...ctx.inference, probe: async () => void probes.push(clock.now()) };
  const { signal, stop } = stopper();
  const asked: boolean[] = [];
  const certificate = { expiresAt: () => 0, hash: () => "", ensure: async () => void asked.push(true) };
  const loop = startModelProbeLoop({ ...ctx, inference }, certificate, signal);
  await clock.run(10 * minute);
  expect(probes.length).toBeWithin(11, 14);
  expect(asked).toHaveLength(probes.length);
  stop();
  await loop.finished;
});
