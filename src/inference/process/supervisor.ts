import type { Clock } from "../../lib/clock.ts";
import { abortable } from "../../lib/concurrent.ts";
import type { BlfError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { type BackoffOptions, backoff } from "../../lib/retry.ts";
import { type Child, startChild } from "./child.ts";
import { fromPlainError, type PlainError } from "./plain-error.ts";

/** What a supervised process says. */
export type FromChild<Result> =
  | { event: "ready" }
  | { event: "text"; id: number; text: string }
  | { event: "done"; id: number; result: Result }
  | { event: "failed"; id: number; error: PlainError };

/** What it is told: how to set itself up, once; then numbered orders, side by side. */
export type ToChild<Setup, Order> = ({ op: "open" } & Setup) | (Order & { id: number }) | { op: "abort"; id: number };

export type SupervisorErrors = {
  startFailed(reason: string, cause?: unknown): BlfError;
  /** It ended by itself while it had work; with the last lines that it printed, where they may be logged. */
  crashed(how: string, lastLines: readonly string[]): BlfError;
  /** `close` was called. */
  closed(): BlfError;
};

export type SupervisorOptions<Setup> = {
  /** Starts the process. */
  command: string[];
  /** Variables besides those that every child of this program has. */
  environment?: Record<string, string>;
  setup: Setup;
  clock: Clock;
  log: Logger;
  /** What runs there, for the log: `engine`. */
  name: string;
  errors: SupervisorErrors;
  /** How long a process that keeps crashing is left alone. */
  restart?: BackoffOptions | undefined;
  /** A process that goes on with an aborted order for longer than this is killed; by default it may take its time. Milliseconds. */
  abortWithinMs?: number;
  /** Whether what the process prints may be logged. */
  logOutput: boolean;
};

export type Supervisor<Order, Result> = {
  /** Gives an order to the process, which is started if need be. @throws what the process failed with; the signal's reason when aborted */
  order(what: Order, signal: AbortSignal, onText?: (text: string) => void): Promise<Result>;
  close(): Promise<void>;
};

type Job<Result> = {
  resolve(result: Result): void;
  reject(error: unknown): void;
  onText?: ((text: string) => void) | undefined;
};

/** Lines of a process that are kept for the case that it crashes. */
const keptLines = 100;

/**
 * Something dangerous in a child process of this same program. What kills the child ends its running orders with `crashed` and nothing
 * else: the process is started again, at once after a first crash and ever later after more of them.
 */
export function createSupervisor<Setup extends object, Order extends { op: string }, Result>(
  options: SupervisorOptions<Setup>,
): Supervisor<Order, Result> {
  const { clock, log, errors, name } = options;
  const restart = options.restart ?? { initialMs: 250, maxMs: 30_000 };
  const jobs = new Map<number, Job<Result>>();
  /** Orders that were aborted and whose end the process has not reported yet. */
  const ending = new Map<number, { done(): void; over: Promise<void> }>();
  const closing = new AbortController();
  type Process = Child<ToChild<Setup, Order>>;
  let candidate: Process | undefined;
  let child: Process | undefined;
  let starting: Promise<Process> | undefined;
  let lastLines: string[] = [];
  let crashes = 0;
  let nextId = 1;

  const receive = (message: FromChild<Result>) => {
    if (message.event === "ready") return;
    const job = jobs.get(message.id);
    if (message.event === "text") return job?.onText?.(message.text);
    jobs.delete(message.id);
    ending.get(message.id)?.done();
    if (message.event === "failed") return job?.reject(fromPlainError(message.error));
    crashes = 0;
    job?.resolve(message.result);
  };

  const onExit = (ended: Process, how: string) => {
    child = undefined;
    const lost = [...jobs.values()];
    jobs.clear();
    for (const { done } of [...ending.values()]) done();
    for (const job of lost) job.reject(closing.signal.aborted ? errors.closed() : errors.crashed(how, lastLines));
    if (closing.signal.aborted) return;
    crashes++;
    log.error(`the ${name}'s process ended by itself`, { pid: ended.pid, reason: how, count: lost.length });
    // So that the next job finds it ready; if it does not start, that job says so.
    running().catch(() => {});
  };

  const hear = (pid: number, line: string) => {
    if (!options.logOutput) return;
    log.debug(name, { pid, reason: line });
    lastLines = [...lastLines, line].slice(-keptLines);
  };

  const start = async () => {
    try {
      if (crashes > 1) await clock.sleep(backoff(crashes - 2, restart), closing.signal);
      lastLines = [];
      const started: Process = startChild<FromChild<Result>, ToChild<Setup, Order>>({
        command: options.command,
        environment: options.environment,
        clock,
        onMessage: receive,
        onLine: hear,
        startFailed: errors.startFailed,
      });
      candidate = started;
      await started.ready;
      child = started;
      void started.exited.then((how) => onExit(started, how));
      started.send({ ...options.setup, op: "open" });
      log.debug(`the ${name}'s process is ready`, { pid: started.pid });
      return started;
    } catch (error) {
      crashes++;
      throw closing.signal.aborted ? errors.closed() : error;
    }
  };

  const running = (): Promise<Process> => {
    if (closing.signal.aborted) return Promise.reject(errors.closed());
    if (child) return Promise.resolve(child);
    starting ??= start().finally(() => {
      starting = undefined;
    });
    return starting;
  };

  /** Tells the process to stop an order, and kills it when it goes on. */
  const abort = (at: Process, id: number) => {
    at.send({ op: "abort", id });
    if (options.abortWithinMs === undefined) return;
    const patience = new AbortController();
    const { promise, resolve } = Promise.withResolvers<void>();
    const done = () => {
      ending.delete(id);
      patience.abort();
      resolve();
    };
    ending.set(id, { done, over: promise });
    clock.sleep(options.abortWithinMs, patience.signal).then(
      () => at.kill(),
      () => {},
    );
  };

  return {
    order: async (what, signal, onText) => {
      signal.throwIfAborted();
      // An order that came to a process which is about to be killed would be lost with it.
      await abortable(Promise.all([...ending.values()].map(({ over }) => over)), signal);
      const process = await running();
      signal.throwIfAborted();
      if (closing.signal.aborted) throw errors.closed();
      if (process !== child) throw errors.crashed("before it got the job", lastLines);
      const id = nextId++;
      const { promise, resolve, reject } = Promise.withResolvers<Result>();
      const onAbort = () => {
        jobs.delete(id);
        abort(process, id);
        reject(signal.reason);
      };
      jobs.set(id, { resolve, reject, onText });
      signal.addEventListener("abort", onAbort, { once: true });
      process.send({ ...what, id });
      return promise.finally(() => signal.removeEventListener("abort", onAbort));
    },
    close: async () => {
      if (closing.signal.aborted) return;
      closing.abort();
      for (const { done } of [...ending.values()]) done();
      for (const job of jobs.values()) job.reject(errors.closed());
      jobs.clear();
      await candidate?.stop();
      await starting?.catch(() => {});
    },
  };
}
