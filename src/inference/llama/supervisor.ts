import type { Clock } from "../../lib/clock.ts";
import { BlfError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { type BackoffOptions, backoff } from "../../lib/retry.ts";
import { selfCommand } from "../../lib/self.ts";
import type { Generation } from "../backend.ts";
import { type EngineChild, startEngineChild } from "./child.ts";
import type { Engine, LoadedModel } from "./engine.ts";
import { type EngineSetup, type FromEngine, fromPlainError, type ToEngine } from "./messages.ts";

export type SupervisorOptions = EngineSetup & {
  clock: Clock;
  log: Logger;
  /** Starts the engine's process; by default this program with `__engine`. */
  command?: string[];
  /** How long a process that keeps crashing is left alone. */
  restart?: BackoffOptions;
};

type Job = {
  resolve(result: LoadedModel | Generation): void;
  reject(error: unknown): void;
  onToken?: ((text: string) => void) | undefined;
};

/** An order without its number. */
type Order = { op: "load" | "generate" } & (
  | Omit<Extract<ToEngine, { op: "load" }>, "id">
  | Omit<Extract<ToEngine, { op: "generate" }>, "id">
);

/**
 * llama.cpp in a child process. What kills the child there (an abort() or SIGSEGV in native code) ends the running generations with
 * `ENGINE_CRASHED` and nothing else: the process is started again, at once after a first crash and ever later after more of them.
 */
export function createEngineSupervisor(options: SupervisorOptions): Engine {
  const { clock, log } = options;
  const restart = options.restart ?? { initialMs: 250, maxMs: 30_000 };
  const jobs = new Map<number, Job>();
  const closing = new AbortController();
  let candidate: EngineChild | undefined;
  let child: EngineChild | undefined;
  let starting: Promise<EngineChild> | undefined;
  let crashes = 0;
  let nextId = 1;

  const receive = (message: FromEngine) => {
    if (message.event === "ready") return;
    const job = jobs.get(message.id);
    if (message.event === "text") return job?.onToken?.(message.text);
    jobs.delete(message.id);
    if (message.event === "failed") return job?.reject(fromPlainError(message.error));
    crashes = 0;
    job?.resolve(message.result);
  };

  const onExit = (ended: EngineChild, how: string) => {
    child = undefined;
    const lost = [...jobs.values()];
    jobs.clear();
    for (const job of lost) job.reject(closing.signal.aborted ? closed() : crashed(how));
    if (closing.signal.aborted) return;
    crashes++;
    log.error("the engine's process ended by itself", { pid: ended.pid, reason: how, count: lost.length });
    // So that the next job finds it ready; if it does not start, that job says so.
    running().catch(() => {});
  };

  const start = async () => {
    const setup = { threads: options.threads, sequences: options.sequences, gpu: options.gpu };
    const command = options.command ?? selfCommand(["__engine"]);
    try {
      if (crashes > 1) await clock.sleep(backoff(crashes - 2, restart), closing.signal);
      const started = startEngineChild({ command, clock, log, onMessage: receive });
      candidate = started;
      await started.ready;
      child = started;
      void started.exited.then((how) => onExit(started, how));
      started.send({ op: "open", ...setup });
      log.debug("the engine's process is ready", { pid: started.pid });
      return started;
    } catch (error) {
      crashes++;
      throw closing.signal.aborted ? closed() : error;
    }
  };

  const running = (): Promise<EngineChild> => {
    if (closing.signal.aborted) return Promise.reject(closed());
    if (child) return Promise.resolve(child);
    starting ??= start().finally(() => {
      starting = undefined;
    });
    return starting;
  };

  const order = async (what: Order, signal: AbortSignal, onToken?: (text: string) => void) => {
    signal.throwIfAborted();
    const engine = await running();
    signal.throwIfAborted();
    if (closing.signal.aborted) throw closed();
    if (engine !== child) throw crashed("before it got the job");
    const id = nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<LoadedModel | Generation>();
    const onAbort = () => {
      jobs.delete(id);
      engine.send({ op: "abort", id });
      reject(signal.reason);
    };
    jobs.set(id, { resolve, reject, onToken });
    signal.addEventListener("abort", onAbort, { once: true });
    engine.send({ ...what, id } as ToEngine);
    return promise.finally(() => signal.removeEventListener("abort", onAbort));
  };

  return {
    load: async (model, signal) => (await order({ op: "load", model }, signal)) as LoadedModel,
    generate: async (model, prompt, { signal, onToken }) => {
      const stream = onToken !== undefined;
      return (await order({ op: "generate", model, prompt, stream }, signal, onToken)) as Generation;
    },
    close: async () => {
      if (closing.signal.aborted) return;
      closing.abort();
      for (const job of jobs.values()) job.reject(closed());
      jobs.clear();
      await candidate?.stop();
      await starting?.catch(() => {});
    },
  };
}

function crashed(how: string): BlfError {
  return new BlfError({
    code: "ENGINE_CRASHED",
    message: `The engine's process ended in the middle of a generation (${how})`,
    hint: "The engine starts again by itself; if it happens with every prompt, check the model file and free memory.",
  });
}

function closed(): BlfError {
  return new BlfError({
    code: "ENGINE_CLOSED",
    message: "The engine was shut down",
    hint: "Start the node again.",
    retryable: true,
  });
}
