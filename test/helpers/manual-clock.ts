import type { Clock } from "../../src/lib/clock.ts";

export type ManualClock = Clock & {
  /** Moves time and wakes those whose time has come; what they do then comes later. */
  advance(ms: number): void;
  /** Moves through time: each sleeper wakes at its own moment and does its work before time goes on. */
  run(ms: number): Promise<void>;
  /** For which times, in milliseconds from now, somebody waits. */
  sleeping(): number[];
};

/** A clock that stands until it is moved. */
export function manualClock(start = 1_750_000_000_000): ManualClock {
  let now = start;
  const sleepers = new Set<{ until: number; wake: () => void }>();
  const wakeUntil = () => {
    for (const sleeper of sleepers) if (sleeper.until <= now && sleepers.delete(sleeper)) sleeper.wake();
  };
  return {
    now: () => now,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const onAbort = () => {
          sleepers.delete(sleeper);
          reject(signal?.reason);
        };
        const wake = () => {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        };
        const sleeper = { until: now + ms, wake };
        sleepers.add(sleeper);
        signal?.addEventListener("abort", onAbort, { once: true });
      }),
    advance(ms) {
      now += ms;
      wakeUntil();
    },
    async run(ms) {
      const end = now + ms;
      for (;;) {
        await macrotask();
        const next = Math.min(...[...sleepers].map(({ until }) => until));
        if (next > end) break;
        now = Math.max(now, next);
        wakeUntil();
      }
      now = end;
    },
    sleeping: () => [...sleepers].map(({ until }) => until - now),
  };
}

/** Lets everything run that waits for nothing but its turn. */
export function macrotask(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
