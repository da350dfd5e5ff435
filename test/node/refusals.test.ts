import { beforeEach, describe, expect, test } from "bun:test";
import type { Role } from "../../src/icl/wire.ts";
import type { Downloader } from "../../src/ipfs/download.ts";
import { type Circuits, createCircuits } from "../../src/lib/circuit.ts";
import { BlfError } from "../../src/lib/errors.ts";
import type { NodeContext } from "../../src/node/context.ts";
import { reasonToWait } from "../../src/node/dependencies.ts";
import { leaderTrouble, noteLeaderOutcome } from "../../src/node/leader-trouble.ts";
import { createScheduler } from "../../src/node/scheduler.ts";
import type { ManualClock } from "../helpers/manual-clock.ts";
import { assignment } from "./journal/fixtures.ts";
import { stubContext } from "./stub-context.ts";

const options = { threshold: 2, initialMs: 10_000, maxMs: 10_000, maxRetryAfterMs: 0 };
const store = "0x7120fAbdAD2FC5B05CD814A59457eB5fCd9Cfa7E" as const;

let ctx: NodeContext;
let clock: ManualClock;
let circuits: Circuits;
/** The jobs that were claimed. */
let claimed: string[];

beforeEach(async () => {
  claimed = [];
  const claim = async (taskId: string) => {
    claimed.push(taskId);
    throw new BlfError({ code: "ICL_REJECTED", message: "no", hint: "none" });
  };
  const world = await stubContext({ config: { prompt_key_store_address: store }, icl: { claim } });
  ({ clock } = world);
  circuits = createCircuits({ clock });
  ctx = { ...world.ctx, circuits };
});

const fail = (...names: string[]) => {
  for (const name of names) for (let times = 0; times < options.threshold; times++) circuits.of(name, options).failed();
};
const offer = async (taskId: string, role: Role, context = ctx) => {
  const scheduler = createScheduler(context, { onRoom: () => {} }, new AbortController().signal);
  scheduler.offer([assignment(taskId, role)]);
  await scheduler.drain();
  return ctx.journal.find({ taskId, role });
};

describe("while a service does not answer that a job needs", () => {
  test.each<[string, string[], Role[]]>([
    ["CoFHE", ["cofhe"], ["leader", "verifier"]],
    ["every gateway", ["ipfs https://a", "ipfs https://b"], ["leader", "verifier"]],
    ["the upload service", ["upload"], ["leader"]],
    ["every RPC", ["rpc https://a", "rpc https://b"], ["leader"]],
  ])("%s, it is not claimed, and is when the service may be tried again", async (_name, names, roles) => {
    fail(...names);
    for (const role of ["leader", "verifier"] as const) {
      const isNeeded = roles.includes(role);
      expect(reasonToWait(ctx, role) !== undefined).toBe(isNeeded);
      expect((await offer(`0x0${role}`, role)) === undefined).toBe(isNeeded);
    }
    clock.advance(options.initialMs + 1);
    for (const role of roles) expect(reasonToWait(ctx, role)).toBeUndefined();
    await offer("0x02", roles[0]!);
    expect(claimed).toContain("0x02");
  });

  test("one of several gateways or RPCs is no reason to wait", () => {
    circuits.of("ipfs https://a", options);
    circuits.of("rpc https://a", options);
    fail("ipfs https://b", "rpc https://b");
    expect(reasonToWait(ctx, "leader")).toBeUndefined();
  });
});

describe("a node that cannot pay for gas", () => {
  const broke = "CHAIN_INSUFFICIENT_FUNDS";

  test("leads nothing for an hour, and verifies", async () => {
    noteLeaderOutcome(ctx, broke);
    expect(await offer("0x01", "leader")).toBeUndefined();
    await offer("0x02", "verifier");
    expect(claimed).toEqual(["0x02"]);
    clock.advance(59 * 60_000);
    expect(leaderTrouble(ctx)).toBe("its wallet cannot pay for gas");
    clock.advance(2 * 60_000);
    expect(leaderTrouble(ctx)).toBeUndefined();
  });

  test("leads again once a job was led to its end", () => {
    noteLeaderOutcome(ctx, broke);
    noteLeaderOutcome(ctx, undefined);
    expect(leaderTrouble(ctx)).toBeUndefined();
  });

  test("is another matter than a failure that the next job need not have", () => {
    for (const code of ["DEADLINE_PASSED", "COFHE_UNAVAILABLE", "toString"]) noteLeaderOutcome(ctx, code);
    expect(leaderTrouble(ctx)).toBeUndefined();
  });

  test("learns it from the job that failed", async () => {
    const claim = async () => {
      throw new BlfError({ code: broke, message: "no ETH", hint: "none" });
    };
    await offer("0x01", "leader", { ...ctx, icl: { ...ctx.icl, claim } });
    expect(leaderTrouble(ctx)).toBeDefined();
  });
});

describe("before a job is claimed its prompt is looked at", () => {
  const withBlob = (download: Downloader["download"]): NodeContext => ({ ...ctx, downloader: { download } });
  const gone = () =>
    Promise.reject(new BlfError({ code: "IPFS_UNAVAILABLE", message: "no", hint: "none", retryable: true }));

  test("one that is no encrypted text costs no claim", async () => {
    const record = await offer(
      "0x01",
      "verifier",
      withBlob(async () => new Uint8Array(27)),
    );
    expect([record?.state, record?.failureCode, claimed]).toEqual(["failed", "BLOB_TOO_SHORT", []]);
    await offer(
      "0x02",
      "verifier",
      withBlob(async () => new Uint8Array(28)),
    );
    expect(claimed).toEqual(["0x02"]);
  });

  test("one that cannot fit into the model's context costs no claim", async () => {
    const mayFit = (_model: string, bytes: number) => bytes <= 1000;
    const sized = (bytes: number): NodeContext => ({
      ...withBlob(async () => new Uint8Array(28 + bytes)),
      inference: { ...ctx.inference, mayFit },
    });
    const record = await offer("0x01", "leader", sized(1001));
    expect([record?.failureCode, claimed]).toEqual(["MODEL_PROMPT_TOO_LONG", []]);
    await offer("0x02", "leader", sized(1000));
    expect(claimed).toEqual(["0x02"]);
  });

  test("one that no gateway has is waited for, but not for ever", async () => {
    let tries = 0;
    const download = () => {
      tries++;
      return gone();
    };
    const offered = offer("0x01", "verifier", withBlob(download));
    await clock.run(29_000);
    expect(tries).toBeGreaterThan(3);
    expect(ctx.journal.find({ taskId: "0x01", role: "verifier" })?.state).toBe("assigned");
    await clock.run(2000);
    const record = await offered;
    expect([record?.failureCode, claimed]).toEqual(["IPFS_UNAVAILABLE", []]);
  });

  test("but not when an earlier run of the node may have claimed it: then it must be finished", async () => {
    ctx.journal.begin(assignment("0x01", "verifier"));
    const scheduler = createScheduler(withBlob(gone), { onRoom: () => {} }, new AbortController().signal);
    scheduler.resume();
    await scheduler.drain();
    expect(claimed).toEqual(["0x01"]);
  });
});
