import type { Prng } from "./prng.ts";

type Span = { from: number; to: number };

/** Shares of calls that go wrong, each 0 to 1. */
export type NetworkFaults = {
  /** The request does not arrive. */
  drop: number;
  /** The request does its work, and the answer is lost. */
  dropReply: number;
  /** It takes seconds. */
  delay: number;
  /** It arrives a second time, later. */
  duplicate: number;
  serverError: number;
  /** A final refusal out of the blue. */
  clientError: number;
  unknown: number;
  garbage: number;
};

/** All that a seed decides before its run. Times are milliseconds since the run's beginning. */
export type Plan = {
  nodes: number;
  /** No fault begins after this, and all are over. */
  quietAt: number;
  claimWindowSeconds: number;
  maxConcurrentJobs: number;
  modelSlots: number;
  jobs: { at: number; canReassign: boolean }[];
  icl: NetworkFaults;
  outages: (Span & { kind: "refused" | "silent" })[];
  restarts: { at: number; loses: "nodes" | "claims" | "jobs" }[];
  /** How long the coordinator gives the same list of assignments, as the public one does. */
  listCacheMs: number;
  /** Whether a second claim begins a new claim time, and whether strangers are refused. */
  isStrict: boolean;
  duplicateOffers: number;
  rpc: { drop: number; dropReply: number; error: number; delay: number; stale: number; forget: number };
  congestion: Span[];
  cofheFails: number;
  ipfsFails: number;
  engineCrashes: number;
  diskFull: (Span & { node: number })[];
  clockJumps: { at: number; node: number; byMs: number }[];
  /** How likely a run of a node ends by a crash, at one of its first `crashWithin` points. */
  crashes: number;
  crashWithin: number;
  kills: { at: number; node: number }[];
  stops: { at: number; node: number; force: boolean }[];
  /** Attempts to start a second daemon beside the first. */
  secondStarts: { at: number; node: number }[];
  /** A crash takes with it what was not yet on the disk. */
  losesPower: boolean;
  foreignTransactions: { at: number; node: number }[];
  /** When another installation works with the key of a node. */
  doppelgangers: (Span & { node: number })[];
};

const minute = 60_000;

/** Draws the faults of a run. Each kind is left out of many runs, so that the others show more clearly. */
export function drawPlan(prng: Prng): Plan {
  const nodes = prng.pick([2, 2, 3]);
  const quietAt = prng.chance(0.1) ? prng.between(4, 8) * minute : prng.between(1, 4) * minute;
  const isFaultless = prng.chance(0.05);
  const rate = (share: number, most: number) => (!isFaultless && prng.chance(share) ? prng.between(0.01, most) : 0);
  const node = () => prng.int(0, nodes - 1);
  const some = <T>(share: number, most: number, draw: () => T): T[] =>
    !isFaultless && prng.chance(share) ? Array.from({ length: prng.int(1, most) }, draw) : [];
  const moment = () => prng.between(0, quietAt);
  const span = (longest: number): Span => {
    const from = moment();
    return { from, to: Math.min(quietAt, from + prng.between(1000, longest)) };
  };
  return {
    nodes,
    quietAt,
    claimWindowSeconds: prng.pick([120, 300, 300, 600]),
    maxConcurrentJobs: prng.int(1, 3),
    modelSlots: prng.int(1, 2),
    jobs: Array.from({ length: prng.int(3, 7) }, () => ({
      at: prng.between(5000, quietAt + 20_000),
      canReassign: prng.chance(0.3),
    })),
    icl: {
      drop: rate(0.4, 0.4),
      dropReply: rate(0.5, 0.4),
      delay: rate(0.4, 0.3),
      duplicate: rate(0.3, 0.3),
      serverError: rate(0.3, 0.3),
      clientError: rate(0.1, 0.05),
      unknown: rate(0.2, 0.1),
      garbage: rate(0.3, 0.3),
    },
    outages: some(0.4, 2, () => ({ ...span(5 * minute), kind: prng.pick(["refused", "silent"] as const) })),
    restarts: some(0.3, 2, () => ({ at: moment(), loses: prng.pick(["nodes", "claims", "jobs"] as const) })),
    listCacheMs: prng.pick([0, 0, 15_000]),
    isStrict: prng.chance(0.5),
    duplicateOffers: rate(0.4, 0.5),
    rpc: {
      drop: rate(0.4, 0.3),
      dropReply: rate(0.4, 0.3),
      error: rate(0.3, 0.3),
      delay: rate(0.3, 0.3),
      stale: rate(0.4, 0.4),
      forget: rate(0.2, 0.3),
    },
    congestion: some(0.2, 1, () => span(minute)),
    cofheFails: rate(0.3, 0.4),
    ipfsFails: rate(0.3, 0.4),
    engineCrashes: rate(0.15, 0.3),
    diskFull: some(0.25, 2, () => ({ ...span(minute), node: node() })),
    clockJumps: some(0.2, 2, () => ({ at: moment(), node: node(), byMs: prng.between(-90_000, 90_000) })),
    crashes: isFaultless || prng.chance(0.3) ? 0 : prng.between(0.2, 0.9),
    crashWithin: prng.pick([30, 60, 120]),
    kills: some(0.3, 3, () => ({ at: moment(), node: node() })),
    stops: some(0.3, 2, () => ({ at: moment(), node: node(), force: prng.chance(0.4) })),
    secondStarts: some(0.2, 2, () => ({ at: moment(), node: node() })),
    losesPower: prng.chance(0.2),
    foreignTransactions: some(0.15, 3, () => ({ at: moment(), node: node() })),
    doppelgangers: some(0.15, 1, () => {
      const from = prng.pick([0, prng.between(0, quietAt)]);
      return { from, to: Math.min(quietAt, from + prng.between(20_000, 5 * minute)), node: node() };
    }),
  };
}
