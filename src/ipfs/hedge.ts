import type { Clock } from "../lib/clock.ts";

export type HedgeOptions = {
  /** How long the next attempt waits for the running ones, in milliseconds. */
  delayMs: number;
  clock: Clock;
  signal?: AbortSignal;
};

export type HedgeResult<T> = { ok: true; value: T } | { ok: false; errors: unknown[] };

/**
 * Runs attempts one after the other until one succeeds; the next one starts as soon as one fails, or after a delay beside
 * those that still run. Once there is a result the others are aborted. The errors are in the order of the attempts.
 * Throws only the signal's reason.
 */
export async function hedge<T>(
  attempts: ((signal: AbortSignal) => Promise<T>)[],
  options: HedgeOptions,
): Promise<HedgeResult<T>> {
  const done = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, done.signal]) : done.signal;
  const errors: unknown[] = new Array(attempts.length);
  const running = new Map<number, Promise<{ index: number; value: T } | { index: number; error: unknown }>>();
  try {
    for (const [index, attempt] of attempts.entries()) {
      options.signal?.throwIfAborted();
      running.set(
        index,
        attempt(signal).then(
          (value) => ({ index, value }),
          (error: unknown) => ({ index, error }),
        ),
      );
      const isLast = index === attempts.length - 1;
      const delay = isLast ? undefined : startDelay(options, signal);
      while (running.size > 0) {
        const outcome = await Promise.race([...running.values(), ...(delay ? [delay.over] : [])]);
        options.signal?.throwIfAborted();
        if (outcome === undefined) break;
        if ("value" in outcome) return { ok: true, value: outcome.value };
        running.delete(outcome.index);
        errors[outcome.index] = outcome.error;
        if (!isLast) break;
      }
      delay?.cancel();
    }
    return { ok: false, errors };
  } finally {
    done.abort();
  }
}

function startDelay(options: HedgeOptions, signal: AbortSignal): { over: Promise<undefined>; cancel(): void } {
  const controller = new AbortController();
  const either = AbortSignal.any([signal, controller.signal]);
  const over = options.clock.sleep(options.delayMs, either).then(
    () => undefined,
    () => undefined,
  );
  return { over, cancel: () => controller.abort() };
}
