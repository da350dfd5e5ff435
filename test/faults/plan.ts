import { createPrng, type Prng } from "../sim/prng.ts";
import { nameOf, type Point, pointsOf } from "./points.ts";

/** What happens to one member of a quorum: it is killed at the point, and starts again after a pause. */
export type Kill = {
  point: Point;
  /** For `random`: so long after its claim, in milliseconds. */
  afterClaimMs: number;
  pauseMs: number;
};

/** One job of a quorum of two, of which one or both are killed. */
export type Round = { seed: number; leader: Kill | undefined; verifier: Kill | undefined; prompt: string };

/** A daemon that is supervised starts again at once, one that is not is started by hand, but within 10 s. */
const pauseMs = { often: 300, longest: 9000 };

export type PlanOptions = {
  /** The name of a point, for rounds of this one alone. */
  only?: string | undefined;
  /** Half of the points: the moment before each act, or the one after it. */
  half?: boolean;
};

/** Every point of both roles once for the seed, in an order of its own. */
export function planOf(seed: number, { only, half = false }: PlanOptions = {}): Round[] {
  const prng = createPrng(`faults/${seed}`);
  const drawn = new Map<string, Point["moment"]>();
  const wanted = ({ role, act, moment }: Point) => {
    if (only !== undefined) return nameOf({ role, act, moment }) === only;
    if (!half || moment === "at") return true;
    const id = `${role} ${act}`;
    if (!drawn.has(id)) drawn.set(id, prng.chance(0.5) ? "before" : "after");
    return drawn.get(id) === moment;
  };
  const leaders = shuffle(pointsOf("leader").filter(wanted), prng);
  const verifiers = shuffle(pointsOf("verifier").filter(wanted), prng);
  const rounds = Array.from({ length: Math.max(leaders.length, verifiers.length) }, (_, index) => ({
    seed,
    leader: leaders[index] && kill(leaders[index], prng),
    verifier: verifiers[index] && kill(verifiers[index], prng),
    prompt: `What is ${prng.hex(8)}?`,
  }));
  return shuffle(rounds, prng);
}

function kill(point: Point, prng: Prng): Kill {
  return {
    point,
    afterClaimMs: prng.chance(0.7) ? prng.between(0, 250) : prng.between(0, 1500),
    pauseMs: prng.chance(0.8) ? prng.between(0, pauseMs.often) : prng.between(0, pauseMs.longest),
  };
}

function shuffle<T>(items: readonly T[], prng: Prng): T[] {
  const shuffled = [...items];
  for (let last = shuffled.length - 1; last > 0; last--) {
    const other = prng.int(0, last);
    [shuffled[last], shuffled[other]] = [shuffled[other]!, shuffled[last]!];
  }
  return shuffled;
}
