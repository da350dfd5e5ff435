import type { Clock } from "./clock.ts";
import { isRetryable } from "./errors.ts";
import { retryAfterMs } from "./retry-after.ts";

export type BackoffOptions = {
  /** Delay before the second attempt, in milliseconds. */
  initialMs: number;
  /** No delay is longer than this, in milliseconds. */
  maxMs: number;
  /** Share of each delay that is random, 0 to 1. */
  jitter?: number;
  random?: () => number;
};

/** Exponential backoff with jitter: the delay in milliseconds before attempt `attempt + 1`, counted from 0. */
export function backoff(attempt: number, options: BackoffOptions): number {
  const jitter = options.jitter ?? 0.2;
  const delay = Math.min(options.maxMs, options.initialMs * 2 ** attempt);
  return delay * (1 - jitter + jitter * (options.random ?? Math.random)());
}

export type RetryOptions = BackoffOptions & {
  clock: Clock;
  /** How often the action is tried in all. */
  attempts: number;
  signal?: AbortSignal;
  /** Which errors are worth another attempt; by default those that say so themselves. */
  retryable?: (error: unknown) => boolean;
};

/**
 * Runs `action` until it succeeds, an error is final or the attempts are used up; throws the last error. A service that asks for a pause
 * (`Retry-After`) gets one, but never more than `maxMs`.
 */
export async function retry<T>(action: (attempt: number) => Promise<T>, options: RetryOptions): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await action(attempt);
    } catch (error) {
      options.signal?.throwIfAborted();
      const final = attempt + 1 >= options.attempts || !(options.retryable ?? isRetryable)(error);
      if (final) throw error;
      const pause = Math.min(retryAfterMs(error), options.maxMs);
      await options.clock.sleep(Math.max(backoff(attempt, options), pause), options.signal);
    }
  }
}
