import type { Clock } from "../../lib/clock.ts";
import { BlfError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import type { BackoffOptions } from "../../lib/retry.ts";
import { selfCommand } from "../../lib/self.ts";
import type { Generation, OutputCheck } from "../backend.ts";
import { createSupervisor, type SupervisorErrors } from "../process/supervisor.ts";
import type { Engine, LoadedModel } from "./engine.ts";
import type { EngineOrder, EngineSetup } from "./messages.ts";
import { gpuEnvironment } from "./packs/gpu-environment.ts";
import { gpuCrash } from "./packs/gpu-trouble.ts";

export type SupervisorOptions = EngineSetup & {
  clock: Clock;
  log: Logger;
  /** Starts the engine's process; by default this program with `__engine`. */
  command?: string[];
  /** How long a process that keeps crashing is left alone. */
  restart?: BackoffOptions;
};

/**
 * llama.cpp in a child process. What kills the child there (an abort() or SIGSEGV in native code) ends the running generations with
 * `ENGINE_CRASHED` and nothing else.
 */
export function createEngineSupervisor(options: SupervisorOptions): Engine {
  const { threads, sequences, gpu, idleUnloadMs, clock, log, restart } = options;
  const child = createSupervisor<EngineSetup, EngineOrder, LoadedModel | Generation | OutputCheck>({
    command: options.command ?? selfCommand(["__engine"]),
    environment: gpu ? gpuEnvironment() : {},
    setup: { threads, sequences, gpu, idleUnloadMs },
    name: "engine",
    errors,
    logOutput: true,
    clock,
    log,
    restart,
  });
  return {
    load: async (model, signal) => (await child.order({ op: "load", model }, signal)) as LoadedModel,
    generate: async (model, prompt, { signal, onToken }) => {
      const stream = onToken !== undefined;
      return (await child.order({ op: "generate", model, prompt, stream }, signal, onToken)) as Generation;
    },
    verify: async (model, prompt, output, { signal }) =>
      (await child.order({ op: "verify", model, prompt, output }, signal)) as OutputCheck,
    close: child.close,
  };
}

const errors: SupervisorErrors = {
  startFailed: (reason, cause) =>
    new BlfError({
      code: "ENGINE_START_FAILED",
      message: `The engine's process did not start: ${reason}`,
      hint: "Check free memory, and run with debug logging to see what it printed.",
      retryable: true,
      cause,
    }),
  crashed: (how, lastLines) => {
    const gpu = gpuCrash(lastLines);
    return new BlfError({
      code: "ENGINE_CRASHED",
      message: `The engine's process ended in the middle of its work (${gpu ? `${how}, ${gpu.reason}` : how})`,
      hint:
        gpu?.hint ??
        "The engine starts again by itself; if it happens with every prompt, check the model file and free memory.",
    });
  },
  closed: () =>
    new BlfError({
      code: "ENGINE_CLOSED",
      message: "The engine was shut down",
      hint: "Start the node again.",
      retryable: true,
    }),
};
