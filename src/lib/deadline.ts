import type { Clock } from "./clock.ts";
import { BlfError } from "./errors.ts";

/** How often the clock is looked at, in milliseconds: it may be set, and a machine that slept wakes up later than its timers think. */
const lookEveryMs = 5000;

/**
 * A signal that aborts at a point in time (a function when what is known of it may change), at once when that is over, or earlier with one of its parents. Call `clear` when the work
 * is done.
 */
export function deadlineSignal(
  clock: Clock,
  atMs: number | (() => number),
  ...parents: AbortSignal[]
): { signal: AbortSignal; clear(): void } {
  const controller = new AbortController();
  const done = new AbortController();
  const error = new BlfError({
    code: "DEADLINE_PASSED",
    message: "The claim deadline passed before the job was finished",
    hint: "Use a smaller model or a faster machine, or lower max_concurrent_jobs.",
  });
  const restMs = () => (typeof atMs === "number" ? atMs : atMs()) - clock.now();
  const wait = async (): Promise<void> => {
    for (let rest = restMs(); rest > 0; rest = restMs()) await clock.sleep(Math.min(rest, lookEveryMs), done.signal);
    controller.abort(error);
  };
  wait().catch(() => {});
  return { signal: AbortSignal.any([controller.signal, ...parents]), clear: () => done.abort() };
}
