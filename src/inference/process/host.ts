import { writeSync } from "node:fs";
import { type BlfError, errorCode } from "../../lib/errors.ts";
import { errorPositions, onStrayError } from "../../lib/stray-errors.ts";
import { toPlainError } from "./plain-error.ts";
import type { FromChild, ToChild } from "./supervisor.ts";

export type HostOptions<Setup, Order, Result> = {
  /** Takes the first message. */
  open(setup: Setup): void;
  work(order: Order, signal: AbortSignal, onText: (text: string) => void): Promise<Result>;
  /** What an error that is not ours is called. */
  unknownError(error: unknown): BlfError;
};

/** Milliseconds without an order after which garbage is collected. */
const idleMs = 500;

/**
 * The child's side of `createSupervisor`: takes orders over IPC until the other end goes away. It ignores SIGINT, which a terminal
 * sends to the whole group: the parent decides when its child ends.
 */
export async function runHost<Setup, Order extends { op: string }, Result>(
  options: HostOptions<Setup, Order, Result>,
): Promise<never> {
  const send = (message: FromChild<Result>) => {
    if (process.connected) process.send?.(message);
  };
  const running = new Map<number, AbortController>();
  let idle: ReturnType<typeof setTimeout> | undefined;

  const work = async (id: number, order: Order) => {
    const controller = new AbortController();
    running.set(id, controller);
    clearTimeout(idle);
    try {
      const result = await options.work(order, controller.signal, (text) => send({ event: "text", id, text }));
      send({ event: "done", id, result });
    } catch (error) {
      send({ event: "failed", id, error: toPlainError(error, options.unknownError) });
    } finally {
      running.delete(id);
      // By itself the collector waits until the heap has grown a lot, and what was read and written stays in memory for as long.
      if (running.size === 0) idle = setTimeout(() => Bun.gc(true), idleMs);
    }
  };

  onStrayError((error) => {
    writeSync(2, `something failed that nothing waited for: ${errorCode(error)} at ${errorPositions(error)}\n`);
    process.exit(1);
  });
  process.on("SIGINT", () => {});
  process.on("disconnect", () => process.exit(0));
  process.on("message", (message: ToChild<Setup, Order>) => {
    if (message.op === "open") options.open(message as Setup);
    else if (message.op === "abort") running.get((message as { id: number }).id)?.abort();
    else void work((message as { id: number }).id, message as Order);
  });
  send({ event: "ready" });
  return new Promise<never>(() => {});
}
