import type { Target } from "../platform.ts";
import { gpuEngines } from "./gpu-packages.ts";
import { findsLibrary } from "./gpu-trouble.ts";
import { type InstalledPack, installedPacks } from "./pack-directory.ts";

/**
 * The installed engine that is used: CUDA before Vulkan, unless there is no NVIDIA driver. Only one can be loaded into a process, so it is
 * chosen beforehand.
 */
export function choosePack(
  target: Target,
  packs: InstalledPack[] = installedPacks().filter(({ current }) => current),
  finds = findsLibrary,
): InstalledPack | undefined {
  const usable = gpuEngines.flatMap(
    (engine) => packs.find((pack) => pack.engine === engine && pack.target === target) ?? [],
  );
  const [first, second] = usable;
  return first?.engine === "cuda" && second && !finds("libcuda.so.1", "cuInit") ? second : first;
}
