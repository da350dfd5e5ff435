import type { Clock } from "../../src/lib/clock.ts";
import type { SimTime } from "./time.ts";

/** What code of a dead process gets when it goes on: it must not be able to do anything any more. */
export class Crash extends Error {
  override readonly name = "Crash";
}

/**
 * One run of a node's process. A crash ends it at once and for good: whatever waits, waits for ever, and whatever it still tries has no
 * effect, as if its memory had gone.
 */
export type Life = {
  isOver(): boolean;
  end(): void;
  /** A point at which the process may die. False when it has, now or before. */
  passes(point: string): boolean;
  /** A promise that settles only while the process lives; rejects when the signal is aborted. */
  wait<T>(
    start: (resolve: (value: T) => void, reject: (error: unknown) => void) => void,
    signal?: AbortSignal,
  ): Promise<T>;
};

export type LifeOptions = {
  /** The process dies at its so many-th point; undefined never. */
  crashAt: number | undefined;
  onCrash(point: string): void;
};

export function createLife(options: LifeOptions): Life {
  let over = false;
  let points = 0;
  return {
    isOver: () => over,
    end: () => {
      over = true;
    },
    passes: (point) => {
      if (over) return false;
      points++;
      if (points !== options.crashAt) return true;
      over = true;
      options.onCrash(point);
      return false;
    },
    wait: (start, signal) =>
      new Promise((resolve, reject) => {
        if (over) return;
        if (signal?.aborted) return reject(signal.reason);
        let isSettled = false;
        const settle = (action: () => void) => {
          if (isSettled || over) return;
          isSettled = true;
          signal?.removeEventListener("abort", onAbort);
          action();
        };
        const onAbort = () => settle(() => reject(signal?.reason));
        signal?.addEventListener("abort", onAbort, { once: true });
        start(
          (value) => settle(() => resolve(value)),
          (error) => settle(() => reject(error)),
        );
      }),
  };
}

/** The clock of one process: sleeps in the world's time, and reads it off by the machine's error. */
export function lifeClock(time: SimTime, life: Life, offsetMs: () => number): Clock {
  return {
    now: () => Math.floor(time.now() + offsetMs()),
    sleep: (ms, signal) => {
      let cancel = () => {};
      signal?.addEventListener("abort", () => cancel(), { once: true });
      return life.wait((resolve) => {
        cancel = time.after(ms, () => resolve());
      }, signal);
    },
  };
}

export type Work<T> = {
  name: string;
  ms: number;
  signal?: AbortSignal | undefined;
  /** What has been done when the time is over, whether or not anybody hears of it. */
  effect(): T;
  /** Fails instead of the effect, or after it. */
  fault?: { before?: Error | undefined; after?: Error | undefined };
};

/** Something outside the process that takes time, around which the process may die at three points. */
export function doWork<T>(time: SimTime, life: Life, work: Work<T>): Promise<T> {
  if (!life.passes(`${work.name}: asked`)) return new Promise(() => {});
  return life.wait<T>((resolve, reject) => {
    time.after(work.ms, () => {
      if (life.isOver() || work.signal?.aborted) return;
      if (work.fault?.before) return reject(work.fault.before);
      try {
        const result = work.effect();
        if (!life.passes(`${work.name}: done`)) return;
        if (work.fault?.after) reject(work.fault.after);
        else resolve(result);
      } catch (error) {
        reject(error);
      }
    });
  }, work.signal);
}
