import { dlopen } from "bun:ffi";
import { BlfError } from "../../../lib/errors.ts";
import { hostTarget } from "../platform.ts";
import { type GpuEngine, gpuEngines, gpuPackages } from "./gpu-packages.ts";

/** Whether the system's linker finds a library that has this symbol. */
export type FindsLibrary = (name: string, symbol: string) => boolean;

export const findsLibrary: FindsLibrary = (name, symbol) => {
  try {
    dlopen(name, { [symbol]: { args: [], returns: "int" } }).close();
    return true;
  } catch {
    return false;
  }
};

function noGpu(message: string, hint: string): BlfError {
  return new BlfError({ code: "ENGINE_NO_GPU", message, hint });
}

/** The answer to gpu_layers > 0 where no engine for a GPU is installed or built in. */
export function noGpuEngine(): BlfError {
  const names = gpuEngines.filter((engine) => gpuPackages(engine, hostTarget()).length > 0);
  return noGpu(
    "No engine for a GPU is installed",
    names.length > 0
      ? `Run \`blindference models engine install ${names.join("|")}\`, or set gpu_layers of the model to 0.`
      : "Set gpu_layers of the model to 0, or serve it with vLLM on the GPU.",
  );
}

/**
 * Why the kernels for a GPU are there and none is used, and what to do about it. It is asked after loading has failed, since it opens
 * the driver's libraries.
 */
export function gpuTrouble(engine: GpuEngine | undefined, finds: FindsLibrary = findsLibrary): BlfError {
  const otherwise = "or set gpu_layers of the model to 0";
  if (engine === "vulkan" && !finds("libvulkan.so.1", "vkEnumerateInstanceVersion"))
    return noGpu("The Vulkan loader is missing (libvulkan.so.1)", `Install it (package libvulkan1), ${otherwise}.`);
  if (engine === "cuda") {
    if (!finds("libcuda.so.1", "cuInit"))
      return noGpu(
        "There is no NVIDIA driver (libcuda.so.1)",
        `Install the NVIDIA driver, in a container start it with the GPU (--gpus all), ${otherwise}.`,
      );
    const versions = [13, 12].filter(
      (major) =>
        finds(`libcudart.so.${major}`, "cudaGetDeviceCount") && finds(`libcublas.so.${major}`, "cublasCreate_v2"),
    );
    if (versions.length === 0)
      return noGpu(
        "CUDA's runtime is missing (libcudart and libcublas, version 13 or 12)",
        `Install the CUDA toolkit's runtime libraries, and make ldconfig find them, ${otherwise}.`,
      );
  }
  return noGpu(
    "llama.cpp finds no GPU that it can use",
    `Check that the GPU's own tool (nvidia-smi, vulkaninfo) lists it and that its driver is not too old, ${otherwise}.`,
  );
}

/** What a GPU's kernels printed before they aborted the process, and what to do about it; undefined when they said nothing. */
export function gpuCrash(lines: readonly string[]): { reason: string; hint: string } | undefined {
  const found = lines
    .map((line) => /CUDA error: .+|vk::\S+: Error\w+/.exec(line)?.[0])
    .find((part) => part !== undefined);
  if (found === undefined) return undefined;
  const reason = found.trim().slice(0, 200);
  if (/unsupported toolchain|unsupported ptx/i.test(reason))
    return {
      reason,
      hint: `Update the NVIDIA driver: these kernels are compiled with a newer CUDA than it knows. ${orVulkan}`,
    };
  if (/no kernel image/i.test(reason)) return { reason, hint: `These kernels do not know this GPU. ${orVulkan}` };
  if (/out of memory|OutOfDeviceMemory/i.test(reason))
    return { reason, hint: "Free memory of the GPU, or lower gpu_layers, context_size or engine.sequences." };
  return { reason, hint: "Check the GPU and its driver with nvidia-smi or vulkaninfo, and the system's log (dmesg)." };
}

const orVulkan =
  "Or use Vulkan in its place: `blindference models engine remove cuda`, then `blindference models engine install vulkan`.";
