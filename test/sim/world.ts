import type { Plan } from "./plan.ts";
import type { Prng } from "./prng.ts";
import type { SimTime } from "./time.ts";
import type { Trace } from "./trace.ts";

/** What all simulated parts share. */
export type World = {
  time: SimTime;
  /** When the run began, milliseconds since the epoch. */
  begin: number;
  plan: Plan;
  prng: Prng;
  trace: Trace;
  facts: Facts;
};

/** Whether faults may still happen. */
export function isNoisy(world: World): boolean {
  return world.time.now() < world.begin + world.plan.quietAt;
}

/** Whether a fault of this rate hits now. */
export function hits(world: World, prng: Prng, rate: number): boolean {
  return rate > 0 && isNoisy(world) && prng.chance(rate);
}

/** What really happened, as nobody in the run knows it; the invariants are judged by it. */
export type Facts = {
  violations: string[];
  /** `node task` of what went wrong for a reason that the node cannot help. */
  excuses: Map<string, Set<string>>;
  /** Answers to status questions that reached a node, by `node task`. */
  statusHeard: Map<string, { at: number; outputCid: boolean }[]>;
  /** When a node last got an answer of the coordinator. */
  heardAt: Map<string, number>;
  /** When another installation last used a node's key. */
  foreignHeard: Map<string, number>;
  /** The nodes whose key is ever used by another installation. */
  impersonated: Set<string>;
};

export function createFacts(): Facts {
  return {
    violations: [],
    excuses: new Map(),
    statusHeard: new Map(),
    heardAt: new Map(),
    foreignHeard: new Map(),
    impersonated: new Set(),
  };
}

export type Excuse = "refused" | "no handles" | "engine crash";

export function excuse(facts: Facts, node: string, taskId: string, reason: Excuse): void {
  const key = `${node} ${taskId}`;
  const known = facts.excuses.get(key) ?? new Set();
  facts.excuses.set(key, known.add(reason));
}

export function isExcused(facts: Facts, node: string, taskId: string, reason: Excuse): boolean {
  return facts.excuses.get(`${node} ${taskId}`)?.has(reason) ?? false;
}
