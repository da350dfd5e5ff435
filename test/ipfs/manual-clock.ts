import type { Clock } from "../../src/lib/clock.ts";

/** A clock that stands until it is moved; `sleeping` tells for which times somebody waits. */
export function manualClock(): Clock & { advance(ms: number): void; sleeping(): number[] } {
  let now = 1_750_000_000_000;
  const sleepers = new Set<{ until: number; wake: () => void }>();
  return {
    now: () => now,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        const sleeper = { until: now + ms, wake: resolve };
        sleepers.add(sleeper);
        signal?.addEventListener("abort", () => sleepers.delete(sleeper) && reject(signal.reason), { once: true });
      }),
    advance(ms) {
      now += ms;
      for (const sleeper of sleepers) if (sleeper.until <= now && sleepers.delete(sleeper)) sleeper.wake();
    },
    sleeping: () => [...sleepers].map(({ until }) => until - now),
  };
}
