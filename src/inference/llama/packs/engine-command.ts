import { hasBuiltInGpu } from "../built-in-gpu.ts";
import { hostTarget } from "../platform.ts";
import { choosePack } from "./choose-pack.ts";
import { gpuEngines, gpuPackages } from "./gpu-packages.ts";

/** Whether llama.cpp has kernels for a GPU here, in this program or in an engine that is installed. */
export function engineHasGpu(): boolean {
  try {
    return hasBuiltInGpu() || choosePack(hostTarget()) !== undefined;
  } catch {
    // A platform without llama.cpp at all has none for its GPU either.
    return false;
  }
}

export type EngineCommandOptions = {
  target?: ReturnType<typeof hostTarget>;
  hasEngine?: boolean;
};

/**
 * The command that lets llama.cpp use these GPUs, where an engine for one of them can be installed and none is. The kinds are those of
 * the machine's GPUs: `cuda`, `vulkan` or `metal`.
 */
export function engineCommand(kinds: readonly string[], options: EngineCommandOptions = {}): string | undefined {
  if (kinds.length === 0 || (options.hasEngine ?? engineHasGpu())) return undefined;
  try {
    const target = options.target ?? hostTarget();
    const engine = gpuEngines.find((known) => kinds.includes(known) && gpuPackages(known, target).length > 0);
    return engine && `blindference models engine install ${engine}`;
  } catch {
    return undefined;
  }
}
