import type { Clock } from "./clock.ts";
import { BlfError } from "./errors.ts";

/** A signal that aborts at a point in time, or earlier with one of its parents. Call `clear` when the work is done. */
export function deadlineSignal(
  clock: Clock,
  atMs: number,
  ...parents: AbortSignal[]
): { signal: AbortSignal; clear(): void } {
  const controller = new AbortController();
  const done = new AbortController();
  const error = new BlfError({
    code: "DEADLINE_PASSED",
    message: "The claim deadline passed before the job was finished",
    hint: "Use a smaller model or a faster machine, or lower max_concurrent_jobs.",
  });
  clock.sleep(Math.max(0, atMs - clock.now()), done.signal).then(
    () => controller.abort(error),
    () => {},
  );
  return { signal: AbortSignal.any([controller.signal, ...parents]), clear: () => done.abort() };
}
