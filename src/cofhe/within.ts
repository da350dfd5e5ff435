import type { BlfError } from "../lib/errors.ts";

export type Within = {
  signal: AbortSignal;
  /** Milliseconds of real time. */
  ms: number;
  /** The error when the time is up. */
  timeout: () => BlfError;
};

/**
 * Runs `action` and waits for it no longer than the limit and the signal allow, even if it takes no notice of the signal
 * that it is given, which is aborted as soon as nobody waits any more.
 * @throws the signal's reason, `timeout()`, or what `action` throws
 */
export function within<T>(limit: Within, action: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  if (limit.signal.aborted) return Promise.reject(limit.signal.reason);
  const stop = new AbortController();
  const giveUp = (reason: unknown) => {
    stop.abort(reason);
    reject(reason);
  };
  const onAbort = () => giveUp(limit.signal.reason);
  const timer = setTimeout(() => giveUp(limit.timeout()), limit.ms);
  limit.signal.addEventListener("abort", onAbort, { once: true });
  action(stop.signal)
    .then(resolve, reject)
    .finally(() => stop.abort());
  return promise.finally(() => {
    clearTimeout(timer);
    limit.signal.removeEventListener("abort", onAbort);
  });
}
