import type { Subprocess } from "bun";
import type { Clock } from "../../lib/clock.ts";
import { BlfError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { childEnvironment } from "../../lib/self.ts";
import type { FromEngine, ToEngine } from "./messages.ts";

/** The engine's process, from spawn to exit. */
export type EngineChild = {
  pid: number;
  /** Resolves when the process takes orders; rejects with `ENGINE_START_FAILED`. */
  ready: Promise<void>;
  /** How it ended: `code 1` or `signal SIGKILL`. */
  exited: Promise<string>;
  send(message: ToEngine): void;
  /** SIGTERM, and SIGKILL for a process that does not heed it. */
  stop(): Promise<void>;
};

export type EngineChildOptions = {
  command: string[];
  clock: Clock;
  log: Logger;
  onMessage(message: FromEngine): void;
};

const readyWithinMs = 20_000;
const stopWithinMs = 2_000;

/** @throws BlfError `ENGINE_START_FAILED` when the program cannot be run. */
export function startEngineChild(options: EngineChildOptions): EngineChild {
  const { clock, log } = options;
  const started = Promise.withResolvers<void>();
  const child = spawn(options, (message) => {
    if (message.event === "ready") started.resolve();
    else options.onMessage(message);
  });
  const exited = child.exited.then((code) => (child.signalCode ? `signal ${child.signalCode}` : `code ${code}`));
  const timeout = new AbortController();
  const give = (reason: string) => started.reject(startFailed(reason));
  void exited.then((how) => give(`it ended with ${how}`));
  clock.sleep(readyWithinMs, timeout.signal).then(
    () => give(`not ready after ${readyWithinMs / 1000} s`),
    () => {},
  );
  const ready = started.promise.finally(() => timeout.abort());
  ready.catch(() => child.kill("SIGKILL"));
  void drain(child.stderr, log.with({ pid: child.pid }));
  return {
    pid: child.pid,
    ready,
    exited,
    send: (message) => {
      try {
        child.send(message);
      } catch {
        // Between a crash and its notice the channel is closed already; the notice ends whatever waits.
      }
    },
    stop: async () => {
      child.kill("SIGTERM");
      const patience = new AbortController();
      const late = clock.sleep(stopWithinMs, patience.signal).then(
        () => child.kill("SIGKILL"),
        () => {},
      );
      await exited;
      patience.abort();
      await late;
    },
  };
}

function spawn(options: EngineChildOptions, onMessage: (message: FromEngine) => void) {
  try {
    return Bun.spawn(options.command, {
      env: childEnvironment(),
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
      serialization: "json",
      ipc: (message) => onMessage(message as FromEngine),
    }) satisfies Subprocess<"ignore", "ignore", "pipe">;
  } catch (error) {
    throw startFailed("the program cannot be run", error);
  }
}

/** Keeps the pipe empty, or the child would stop at a full one. */
async function drain(stream: ReadableStream<Uint8Array>, log: Logger): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for await (const chunk of stream) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop()?.slice(-4096) ?? "";
      for (const line of lines) log.debug("engine", { reason: line.slice(0, 1000) });
    }
  } catch {
    return;
  }
}

function startFailed(reason: string, cause?: unknown): BlfError {
  return new BlfError({
    code: "ENGINE_START_FAILED",
    message: `The engine's process did not start: ${reason}`,
    hint: "Check free memory, and run with debug logging to see what it printed.",
    retryable: true,
    cause,
  });
}
