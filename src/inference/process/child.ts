import type { Subprocess } from "bun";
import type { Clock } from "../../lib/clock.ts";
import type { BlfError } from "../../lib/errors.ts";
import { childEnvironment } from "../../lib/self.ts";

/** A process of this same program that takes orders over IPC, from spawn to exit. */
export type Child<To> = {
  pid: number;
  /** Resolves when the process takes orders; rejects with what `startFailed` makes. */
  ready: Promise<void>;
  /** How it ended: `code 1` or `signal SIGKILL`; once all that it printed was taken. */
  exited: Promise<string>;
  send(message: To): void;
  /** SIGTERM, and SIGKILL for a process that does not heed it. */
  stop(): Promise<void>;
  /** For a process that is stuck: no order reaches it any more. */
  kill(): void;
};

export type ChildOptions<From> = {
  command: string[];
  /** Variables besides those that every child of this program has. */
  environment?: Record<string, string> | undefined;
  clock: Clock;
  onMessage(message: From): void;
  /** Takes each line that the process prints. */
  onLine(pid: number, line: string): void;
  startFailed(reason: string, cause?: unknown): BlfError;
};

const readyWithinMs = 20_000;
const stopWithinMs = 2_000;
/** A process that this one started may hold its pipes open for longer than it lived. */
const lastWordsWithinMs = 500;

/** Starts the process. Both ends are the same program, so messages are not checked again. @throws what `startFailed` makes, when it cannot be run */
export function startChild<From extends { event: string }, To>(options: ChildOptions<From | Ready>): Child<To> {
  const { clock } = options;
  const started = Promise.withResolvers<void>();
  const child = spawn(options, (message) => {
    if (message.event === "ready") started.resolve();
    else options.onMessage(message);
  });
  const onLine = (line: string) => options.onLine(child.pid, line);
  const printed = Promise.all([drain(child.stdout, onLine), drain(child.stderr, onLine)]);
  const exited = child.exited.then(async (code) => {
    await within(clock, lastWordsWithinMs, printed);
    return child.signalCode ? `signal ${child.signalCode}` : `code ${code}`;
  });
  const timeout = new AbortController();
  const give = (reason: string) => started.reject(options.startFailed(reason));
  void exited.then((how) => give(`it ended with ${how}`));
  clock.sleep(readyWithinMs, timeout.signal).then(
    () => give(`not ready after ${readyWithinMs / 1000} s`),
    () => {},
  );
  const ready = started.promise.finally(() => timeout.abort());
  ready.catch(() => child.kill("SIGKILL"));
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
    kill: () => child.kill("SIGKILL"),
  };
}

/** Waits for something, but not for longer than so many milliseconds. */
async function within(clock: Clock, ms: number, what: Promise<unknown>): Promise<void> {
  const patience = new AbortController();
  await Promise.race([what, clock.sleep(ms, patience.signal).catch(() => {})]);
  patience.abort();
}

type Ready = { event: "ready" };

function spawn<From>(options: ChildOptions<From>, onMessage: (message: From) => void) {
  try {
    return Bun.spawn(options.command, {
      env: childEnvironment(options.environment),
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      serialization: "json",
      ipc: (message) => onMessage(message as From),
    }) satisfies Subprocess<"ignore", "pipe", "pipe">;
  } catch (error) {
    throw options.startFailed("the program cannot be run", error);
  }
}

/** Keeps the pipe empty, or the child would stop at a full one. */
async function drain(stream: ReadableStream<Uint8Array>, onLine: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for await (const chunk of stream) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop()?.slice(-4096) ?? "";
      for (const line of lines) onLine(line.slice(0, 1000));
    }
  } catch {
    return;
  }
}
