import { type Clock, systemClock } from "../../src/lib/clock.ts";

/** A clock that starts now and runs `factor` times as fast as the system's. */
export function fastClock(factor: number): Clock {
  const startedAt = Date.now();
  const monotonic = performance.now();
  return {
    now: () => Math.floor(startedAt + (performance.now() - monotonic) * factor),
    sleep: (ms, signal) => systemClock.sleep(ms / factor, signal),
  };
}
