import type { Clock } from "../../src/lib/clock.ts";

/** A clock on which every wait is over at once, and which remembers how long each was. */
export function jumpingClock(startMs = 1_750_000_000_000): Clock & { sleeps: number[] } {
  let now = startMs;
  const sleeps: number[] = [];
  return {
    sleeps,
    now: () => now,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      sleeps.push(ms);
      now += ms;
    },
  };
}
