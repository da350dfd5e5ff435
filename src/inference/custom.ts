import type { Clock } from "../lib/clock.ts";
import { BlfError } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { selfCommand } from "../lib/self.ts";
import type { Backend, BackendHealth } from "./backend.ts";
import type {
  BackendAnswer,
  BackendDescription,
  BackendOrder,
  BackendResult,
  BackendSetup,
  LoadedBackend,
} from "./custom/messages.ts";
import { createSupervisor, type SupervisorErrors } from "./process/supervisor.ts";

export type CustomBackendOptions = {
  /** Absolute path of the module. */
  path: string;
  /** What it said of itself when it was loaded last. */
  description: BackendDescription;
  clock: Clock;
  log: Logger;
  /** Starts its process; by default this program with `__backend`. */
  command?: string[];
  /** How long the import of the module and its `probe` may take, in milliseconds; 10 s by default. */
  loadWithinMs?: number;
  /** Quotes what the module's errors say; only for prompts that are no secret. */
  quoteErrors?: boolean;
};

export type CustomBackend = Backend & {
  /** Imports the module, which says what it is. @throws BlfError `BACKEND_*` */
  load(signal: AbortSignal): Promise<LoadedBackend>;
};

const loadWithinMs = 10_000;
const abortWithinMs = 2_000;

/**
 * A backend that somebody wrote in TypeScript or JavaScript. It runs in a process of its own, so that a module which blocks, leaks or
 * ends the process costs its own jobs and nothing else; and it gets none of this program's secrets.
 */
export function createCustomBackend(options: CustomBackendOptions): CustomBackend {
  const { path, description, clock } = options;
  const limit = options.loadWithinMs ?? loadWithinMs;
  const child = createSupervisor<BackendSetup, BackendOrder, BackendResult>({
    command: options.command ?? selfCommand(["__backend"]),
    setup: { path, quoteErrors: options.quoteErrors ?? false },
    name: "custom backend",
    errors: errorsOf(path),
    // Whatever a module prints may be a prompt.
    logOutput: false,
    abortWithinMs,
    clock,
    log: options.log,
  });
  let determinismClass: string | undefined;
  let health: BackendHealth = { status: "healthy", detail: "" };

  const watched = async <T>(signal: AbortSignal, action: () => Promise<T>): Promise<T> => {
    try {
      const result = await action();
      health = { status: "healthy", detail: "" };
      return result;
    } catch (error) {
      if (!signal.aborted && error instanceof BlfError) health = { status: "degraded", detail: error.message };
      throw error;
    }
  };

  const load = async (signal: AbortSignal) => {
    const loaded = await within(clock, limit, signal, timedOut(path, limit, "be imported"), (limited) =>
      child.order({ op: "load" }, limited),
    );
    determinismClass = (loaded as LoadedBackend).determinismClass;
    return loaded as LoadedBackend;
  };

  return {
    name: description.name,
    models: () => [...description.models],
    slots: 1,
    determinismClass: () => determinismClass,
    load,
    warm: (_modelId, signal) =>
      watched(signal, async () => {
        await load(signal);
        await within(clock, limit, signal, timedOut(path, limit, "answer its `probe`"), (limited) =>
          child.order({ op: "probe" }, limited),
        );
      }),
    generate: ({ modelId, prompt }, { signal, onToken }) =>
      watched(signal, async () => {
        await load(signal);
        let streamed = false;
        const onText = (text: string) => {
          streamed = true;
          onToken?.(text);
        };
        const order: BackendOrder = { op: "generate", modelId, prompt, stream: onToken !== undefined };
        const answer = (await child.order(order, signal, onText)) as BackendAnswer;
        if (!streamed) onToken?.(answer.text);
        return answer;
      }),
    health: () => health,
    close: child.close,
  };
}

/** Runs `action` with a signal that also aborts after `ms`, with `error` for a reason. */
export async function within<T>(
  clock: Clock,
  ms: number,
  signal: AbortSignal,
  error: BlfError,
  action: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  const done = new AbortController();
  clock.sleep(ms, done.signal).then(
    () => late.abort(error),
    () => {},
  );
  try {
    return await action(AbortSignal.any([signal, late.signal]));
  } finally {
    done.abort();
  }
}

export function timedOut(path: string, ms: number, what: string): BlfError {
  return new BlfError({
    code: "BACKEND_TIMEOUT",
    message: `The backend module ${path} took longer than ${ms / 1000} s to ${what}`,
    hint: "Move slow work out of the module's top level into `generate`, whose trial `models add --timeout` allows more.",
  });
}

function errorsOf(path: string): SupervisorErrors {
  return {
    startFailed: (reason, cause) =>
      new BlfError({
        code: "BACKEND_START_FAILED",
        message: `The process of the backend module ${path} did not start: ${reason}`,
        hint: "Check free memory and the number of processes that this user may have.",
        retryable: true,
        cause,
      }),
    crashed: (how) =>
      new BlfError({
        code: "BACKEND_CRASHED",
        message: `The backend module ${path} ended its process (${how})`,
        hint: "A module must not call process.exit, nor leave a failure that nothing handles; native code that it uses may have crashed.",
      }),
    closed: () =>
      new BlfError({
        code: "BACKEND_CLOSED",
        message: `The backend module ${path} was shut down`,
        hint: "Start the node again.",
        retryable: true,
      }),
  };
}
