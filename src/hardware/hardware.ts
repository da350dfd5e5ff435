import { cpus } from "node:os";
import { usableCores } from "../inference/llama/threads.ts";
import { detectGpus, type Gpu } from "./gpu.ts";
import { detectMemory, type Memory } from "./memory.ts";
import { createProbeCommand, type ProbeCommand } from "./probe-command.ts";

/** What this machine has to run a model on. */
export type Hardware = {
  cpu: {
    model: string;
    /** Cores that this process may use: fewer than the machine's inside a container. */
    cores: number;
  };
  memory: Memory;
  gpus: Gpu[];
};

/** Looks at this machine. Nothing here fails: what cannot be found out is left out. */
export async function detectHardware(options: { run?: ProbeCommand } = {}): Promise<Hardware> {
  const run = options.run ?? createProbeCommand();
  const memory = await detectMemory({ run });
  return {
    cpu: { model: cpus()[0]?.model.trim() || "unknown", cores: usableCores() },
    memory,
    gpus: await detectGpus({ run, memory }),
  };
}
