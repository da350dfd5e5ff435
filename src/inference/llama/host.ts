import { systemClock } from "../../lib/clock.ts";
import { errorCode } from "../../lib/errors.ts";
import { createLogger } from "../../lib/log.ts";
import type { Generation, OutputCheck } from "../backend.ts";
import { runHost } from "../process/host.ts";
import { createEngine, type Engine, type LoadedModel } from "./engine.ts";
import { type EngineOrder, type EngineSetup, internalError } from "./messages.ts";

/** The engine's process: holds llama.cpp for the process that started it. */
export async function runEngineHost(): Promise<never> {
  let engine: Engine | undefined;
  return runHost<EngineSetup, EngineOrder, LoadedModel | Generation | OutputCheck>({
    open: (setup) => {
      engine = createEngine({ ...setup, log: stderrLogger(), printsItself: true });
    },
    work: async (order, signal, onText) => {
      if (!engine) throw new Error("the engine was not opened");
      if (order.op === "load") return engine.load(order.model, signal);
      if (order.op === "verify") return engine.verify(order.model, order.prompt, order.output, { signal });
      return engine.generate(order.model, order.prompt, { signal, ...(order.stream ? { onToken: onText } : {}) });
    },
    unknownError: (error) => internalError(errorCode(error)),
  });
}

function stderrLogger() {
  return createLogger({
    level: "debug",
    format: "text",
    clock: systemClock,
    write: (line) => process.stderr.write(`${line}\n`),
  });
}
