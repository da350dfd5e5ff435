import { systemClock } from "../../lib/clock.ts";
import { createLogger } from "../../lib/log.ts";
import { createEngine, type Engine } from "./engine.ts";
import { type FromEngine, type ToEngine, toPlainError } from "./messages.ts";

/**
 * The engine's process: takes orders over IPC until the other end goes away. It ignores SIGINT, which a terminal sends to the whole group:
 * the daemon decides when its engine ends.
 */
export async function runEngineHost(): Promise<never> {
  const send = (message: FromEngine) => {
    if (process.connected) process.send?.(message);
  };
  const running = new Map<number, AbortController>();
  let engine: Engine | undefined;

  const work = async (
    id: number,
    job: (engine: Engine, signal: AbortSignal) => ReturnType<Engine["load" | "generate"]>,
  ) => {
    const controller = new AbortController();
    running.set(id, controller);
    try {
      if (!engine) throw new Error("the engine was not opened");
      send({ event: "done", id, result: await job(engine, controller.signal) });
    } catch (error) {
      send({ event: "failed", id, error: toPlainError(error) });
    } finally {
      running.delete(id);
    }
  };

  const take = (message: ToEngine) => {
    if (message.op === "open") engine = createEngine({ ...message, log: stderrLogger() });
    else if (message.op === "abort") running.get(message.id)?.abort();
    else if (message.op === "load") void work(message.id, (engine, signal) => engine.load(message.model, signal));
    else {
      const { id, model, prompt, stream } = message;
      const onToken = stream ? { onToken: (text: string) => send({ event: "text", id, text }) } : {};
      void work(id, (engine, signal) => engine.generate(model, prompt, { signal, ...onToken }));
    }
  };

  process.on("SIGINT", () => {});
  process.on("disconnect", () => process.exit(0));
  process.on("message", (message) => take(message as ToEngine));
  send({ event: "ready" });
  return new Promise<never>(() => {});
}

function stderrLogger() {
  return createLogger({
    level: "debug",
    format: "text",
    clock: systemClock,
    write: (line) => process.stderr.write(`${line}\n`),
  });
}
