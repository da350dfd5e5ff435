import { uniform } from "../../crypto/random.ts";
import { BlfError, errorCode } from "../../lib/errors.ts";
import { backoff } from "../../lib/retry.ts";
import type { NodeContext } from "../context.ts";

export type LoopOptions = {
  name: string;
  /** Between the starts of two runs, in milliseconds. */
  periodMs: number;
  /** Share of the period by which a run may come earlier, so that nodes started together drift apart. */
  jitter?: number;
  run(signal: AbortSignal): Promise<void>;
};

export type LoopContext = Pick<NodeContext, "clock" | "log" | "metrics" | "random">;

export type LoopState = {
  name: string;
  /** Milliseconds since the epoch. */
  lastSuccess: number | undefined;
  /** Code of the error that the last run ended with. */
  lastError: string | undefined;
  failures: number;
};

export type Loop = {
  state(): LoopState;
  /** Runs at once instead of waiting for the end of the period. */
  poke(): void;
  /** Resolves when the loop has ended, after its signal was aborted. */
  finished: Promise<void>;
};

/** Runs an action for ever. A run that fails is logged and tried again with backoff; it never ends the loop. */
export function startLoop(ctx: LoopContext, options: LoopOptions, signal: AbortSignal): Loop {
  const { clock, metrics } = ctx;
  const { name } = options;
  const log = ctx.log.with({ loop: name });
  const random = () => uniform(ctx.random);
  const state: LoopState = { name, lastSuccess: undefined, lastError: undefined, failures: 0 };
  let poked = new AbortController();

  const once = async (): Promise<void> => {
    try {
      await options.run(signal);
      state.lastSuccess = clock.now();
      if (state.failures > 0) log.info("loop works again", { count: state.failures });
      state.failures = 0;
      state.lastError = undefined;
      metrics.loops.inc({ loop: name, outcome: "success" });
      metrics.lastSuccess.set({ loop: name }, clock.now() / 1000);
    } catch (error) {
      if (signal.aborted) return;
      state.failures++;
      state.lastError = errorCode(error);
      metrics.loops.inc({ loop: name, outcome: "failure" });
      const level = state.failures === 1 || state.failures % 20 === 0 ? "warn" : "debug";
      log[level]("loop failed and will try again", { code: state.lastError, error: messageOf(error) });
    }
  };

  const wait = async (startedAt: number): Promise<void> => {
    const period = options.periodMs * (1 - (options.jitter ?? 0) * random());
    const failed = state.failures > 0;
    const delay = failed
      ? Math.min(period, backoff(state.failures - 1, { initialMs: 1000, maxMs: options.periodMs, random }))
      : // A clock that was set back meanwhile would make the run look as if it had not begun yet.
        period - Math.max(0, clock.now() - startedAt);
    const interrupted = AbortSignal.any([signal, poked.signal]);
    await clock.sleep(Math.max(0, delay), interrupted).catch(() => {});
    if (poked.signal.aborted) poked = new AbortController();
  };

  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      const startedAt = clock.now();
      await once();
      if (!signal.aborted) await wait(startedAt);
    }
  };

  return { state: () => ({ ...state }), poke: () => poked.abort(), finished: run() };
}

function messageOf(error: unknown): string {
  return error instanceof BlfError ? error.message : "unexpected error";
}
