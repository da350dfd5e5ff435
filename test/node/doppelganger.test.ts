import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { ConfigFile } from "../../src/config/schema.ts";
import { BlfError } from "../../src/lib/errors.ts";
import type { NodeContext } from "../../src/node/context.ts";
import { createDoppelganger } from "../../src/node/doppelganger.ts";
import { exportJournal, parseJournalDocument } from "../../src/node/journal/export.ts";
import { importJournal } from "../../src/node/journal/import.ts";
import { openJournal } from "../../src/node/journal/journal.ts";
import { openDatabase } from "../../src/node/journal/open-database.ts";
import { beat } from "../../src/node/loops/heartbeat.ts";
import { type ManualClock, manualClock } from "../helpers/manual-clock.ts";
import { tempDirectory } from "../helpers/temp-directory.ts";
import { stubContext } from "./stub-context.ts";

const second = 1000;
const minute = 60 * second;
const failure = (code: string, retryable: boolean) => new BlfError({ code, message: "no", hint: "none", retryable });

type CoordinatorOptions = { clock?: ManualClock /** This machine's clock less the coordinator's. */; offset?: number };

/** A coordinator that remembers when it heard of the key, whoever used it. */
function coordinator({ clock = manualClock(), offset = 0 }: CoordinatorOptions = {}) {
  let current = offset;
  const state = {
    clock,
    heard: undefined as number | undefined,
    failing: undefined as BlfError | undefined,
    asked: 0,
    /** Somebody uses the key: this node or another one. */
    hear: () => {
      state.heard = Math.floor((clock.now() - current) / 1000);
    },
    /** This machine's clock jumps, and the coordinator's does not. */
    jump: (ms: number) => {
      current += ms;
      clock.advance(ms);
    },
    icl: {
      clockOffset: () => current,
      heartbeat: async () => state.hear(),
      lastHeard: async () => {
        state.asked++;
        if (state.failing) throw state.failing;
        return state.heard;
      },
    },
  };
  return state;
}

type Coordinator = ReturnType<typeof coordinator>;

function contextOf({ icl, clock }: Coordinator, more: { config?: ConfigFile; overrides?: Partial<NodeContext> } = {}) {
  return stubContext({ icl, clock, ...more });
}

/** Begins to look, and tells when and how it ended. */
function watch(ctx: NodeContext, options = {}, signal = new AbortController().signal) {
  const guard = createDoppelganger(ctx, options);
  const began = ctx.clock.now();
  const result = { guard, tookMs: undefined as number | undefined, error: undefined as unknown };
  guard.assertAlone(signal).then(
    () => {
      result.tookMs = ctx.clock.now() - began;
    },
    (error: unknown) => {
      result.tookMs = ctx.clock.now() - began;
      result.error = error;
    },
  );
  return result;
}

describe("starts at once", () => {
  test("with a new key, which the coordinator has never heard of", async () => {
    const there = coordinator();
    const { ctx } = await contextOf(there);
    const start = watch(ctx);
    await there.clock.run(0);
    expect([start.tookMs, start.error, there.asked]).toEqual([0, undefined, 1]);
  });

  test.each([0, 7, 60, 89])("after it was killed %i s after its last heartbeat", async (seconds) => {
    const there = coordinator();
    const { ctx } = await contextOf(there);
    await beat(ctx, new AbortController().signal);
    there.clock.advance(seconds * second);
    const start = watch(ctx);
    await there.clock.run(0);
    expect([start.tookMs, start.error]).toEqual([0, undefined]);
  });

  test("after it was killed while its heartbeat was under way, however long that took to arrive", async () => {
    const there = coordinator();
    const { ctx } = await contextOf(there);
    const lost = { ...ctx, icl: { ...ctx.icl, heartbeat: () => Promise.reject(failure("ICL_TIMEOUT", true)) } };
    await beat(lost, new AbortController().signal).catch(() => {});
    there.clock.advance(60 * second);
    there.hear();
    there.clock.advance(3 * second);
    const start = watch(ctx);
    await there.clock.run(0);
    expect(start.tookMs).toBe(0);
  });

  test.each([-7200, -300, 300, 7200])("when its clock is %i s off, or was set since", async (seconds) => {
    const there = coordinator({ offset: seconds * second });
    const { ctx } = await contextOf(there);
    await beat(ctx, new AbortController().signal);
    there.jump(-seconds * second);
    there.clock.advance(5 * second);
    const start = watch(ctx);
    await there.clock.run(0);
    expect(start.tookMs).toBe(0);
  });

  test("when nobody has used the key for the time that is configured", async () => {
    const there = coordinator();
    const { ctx } = await contextOf(there, { config: { doppelganger_wait_s: 60 } });
    there.hear();
    there.clock.advance(60 * second);
    const start = watch(ctx);
    await there.clock.run(0);
    expect(start.tookMs).toBe(0);
  });

  test("when the operator says so", async () => {
    for (const [options, config] of [
      [{ ignore: true }, {}],
      [{}, { doppelganger_wait_s: 0 }],
    ] as const) {
      const there = coordinator();
      const { ctx } = await contextOf(there, { config });
      there.hear();
      const start = watch(ctx, options);
      await there.clock.run(0);
      expect([start.tookMs, there.asked]).toEqual([0, 0]);
    }
  });

  test("on a new machine that took over the journal, but not on one that did not", async () => {
    using dir = tempDirectory();
    const there = coordinator();
    const old = await contextOf(there, { overrides: { journal: openJournal(join(dir.path, "old.db"), there.clock) } });
    await beat(old.ctx, new AbortController().signal);
    old.ctx.journal.close();
    const db = openDatabase(join(dir.path, "old.db"));
    const address = old.ctx.wallet.address;
    const text = JSON.stringify(exportJournal(db, address, new Date()));
    db.close();
    there.clock.advance(20 * second);
    for (const [file, tookMs] of [
      ["imported.db", 0],
      ["empty.db", undefined],
    ] as const) {
      const journal = openJournal(join(dir.path, file), there.clock);
      if (tookMs === 0) {
        const target = openDatabase(join(dir.path, file));
        importJournal(target, parseJournalDocument(text), address);
        target.close();
      }
      const { ctx } = await contextOf(there, { overrides: { journal } });
      const start = watch(ctx);
      await there.clock.run(0);
      expect([file, start.tookMs]).toEqual([file, tookMs]);
      journal.close();
    }
  });
});

describe("another node's trace", () => {
  test("is waited out, and says so meanwhile", async () => {
    const there = coordinator();
    const { ctx, log } = await contextOf(there);
    there.hear();
    there.clock.advance(30 * second);
    const start = watch(ctx);
    await there.clock.run(149 * second);
    expect(start.tookMs).toBeUndefined();
    expect(start.guard.waitingFor()).toBe(
      "waiting: another node was active at 2025-06-15T15:06:40.000Z with this key, and must be silent for 180 s",
    );
    await there.clock.run(second);
    expect([start.tookMs, start.error]).toEqual([150 * second, undefined]);
    expect(start.guard.waitingFor()).toBeUndefined();
    expect(log.text()).toContain("another node was active with this key");
  });

  test("that is its last one, as of a node that is being stopped, begins the wait anew", async () => {
    const there = coordinator();
    const { ctx } = await contextOf(there);
    there.hear();
    const start = watch(ctx);
    await there.clock.run(60 * second);
    there.hear();
    await there.clock.run(175 * second);
    expect(start.tookMs).toBeUndefined();
    await there.clock.run(5 * second);
    expect(start.tookMs).toBe(240 * second);
  });

  test("that is followed by more is refused with a code, a remedy and exit code 75", async () => {
    const there = coordinator();
    const { ctx } = await contextOf(there);
    there.hear();
    const start = watch(ctx);
    for (let beats = 0; beats < 3; beats++) {
      expect(start.error).toBeUndefined();
      await there.clock.run(minute);
      there.hear();
    }
    await there.clock.run(10 * second);
    expect(start.error).toMatchObject({ code: "NODE_ACTIVE_ELSEWHERE", exitCode: 75 });
    expect((start.error as BlfError).hint).toContain("--ignore-other-node");
  });

  test("is not waited out while the coordinator is away: nobody could have heard it", async () => {
    const there = coordinator();
    const { ctx } = await contextOf(there);
    there.hear();
    const start = watch(ctx);
    await there.clock.run(20 * second);
    there.failing = failure("ICL_UNREACHABLE", true);
    await there.clock.run(10 * minute);
    expect(start.tookMs).toBeUndefined();
    there.failing = undefined;
    there.hear();
    await there.clock.run(170 * second);
    expect(start.tookMs).toBeUndefined();
    await there.clock.run(20 * second);
    expect(start.tookMs).toBeDefined();
  });

  test("is not outrun by this machine's clock", async () => {
    const there = coordinator();
    const { ctx } = await contextOf(there);
    there.hear();
    const start = watch(ctx);
    await there.clock.run(15 * second);
    there.jump(10 * minute);
    await there.clock.run(30 * second);
    expect(start.tookMs).toBeUndefined();
  });

  test("ends with the signal", async () => {
    const there = coordinator();
    const { ctx } = await contextOf(there);
    there.hear();
    const stop = new AbortController();
    const start = watch(ctx, {}, stop.signal);
    await there.clock.run(15 * second);
    stop.abort(new DOMException("stop", "AbortError"));
    await there.clock.run(0);
    expect(start.error).toBe(stop.signal.reason);
  });
});

describe("a coordinator", () => {
  test("that is away is asked until it is back, and the node can be got ready meanwhile", async () => {
    const there = coordinator();
    const { ctx } = await contextOf(there);
    there.failing = failure("ICL_UNREACHABLE", true);
    const start = watch(ctx);
    await there.clock.run(0);
    await start.guard.unanswered;
    await there.clock.run(60 * minute);
    expect(start.tookMs).toBeUndefined();
    expect(start.guard.waitingFor()).toStartWith("waiting for the coordinator");
    there.failing = undefined;
    await there.clock.run(10 * second);
    expect([start.tookMs !== undefined, start.error]).toEqual([true, undefined]);
  });

  test.each([
    ["ICL_UNKNOWN", false, 10 * second],
    ["ICL_FAILED", true, 90 * second],
    ["ICL_UNEXPECTED_ANSWER", false, 90 * second],
  ])("that answers %s only keeps no node from starting", async (code, retryable, withinMs) => {
    const there = coordinator();
    const { ctx, log } = await contextOf(there);
    there.failing = failure(code, retryable);
    const start = watch(ctx);
    await there.clock.run(withinMs);
    expect(start.tookMs).toBeDefined();
    expect(log.text()).toContain("going on without knowing");
  });
});

describe("the chain's last heartbeat", () => {
  const registry = "0x72C0Ead949Fd2C346598a30AF1A69c3c5Cb86082" as const;

  async function registered(readContract: (clock: ManualClock) => Promise<unknown>) {
    const there = coordinator();
    const chain = { client: { readContract: () => readContract(there.clock) } } as unknown as NodeContext["chain"];
    const { ctx } = await contextOf(there, {
      config: { registered_on_chain: true, node_registry_address: registry },
      overrides: { chain },
    });
    return { there, ctx };
  }
  const now = async (clock: ManualClock) => ({ lastHeartbeat: BigInt(Math.floor(clock.now() / 1000)) });

  test("is waited out if no transaction of the journal explains it", async () => {
    const { there, ctx } = await registered(now);
    const start = watch(ctx);
    await there.clock.run(170 * second);
    expect(start.tookMs).toBeUndefined();
    await there.clock.run(10 * second);
    expect(start.tookMs).toBe(180 * second);
  });

  test("is this node's own if one does", async () => {
    const { there, ctx } = await registered(now);
    const transaction = { nonce: 1, hashes: [], raw: "0x", status: "succeeded", sentAt: 1 } as const;
    ctx.journal.transactions.save({ ...transaction, hashes: [], purpose: `register:${registry}` });
    const start = watch(ctx);
    await there.clock.run(0);
    expect(start.tookMs).toBe(0);
  });

  test("is not waited for when the chain is silent", async () => {
    const { there, ctx } = await registered(() => new Promise(() => {}));
    const start = watch(ctx);
    await there.clock.run(5 * second);
    expect(start.tookMs).toBe(5 * second);
  });
});
