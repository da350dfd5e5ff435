import type { Target } from "../platform.ts";
import pinned from "./packages.json" with { type: "json" };

export const gpuEngines = ["cuda", "vulkan"] as const;

/** How llama.cpp reaches a GPU, where the kernels for it are not part of the platform's own package. */
export type GpuEngine = (typeof gpuEngines)[number];

/** One tarball of the npm registry. */
export type GpuPackage = {
  /** `@node-llama-cpp/linux-x64-cuda` */
  name: string;
  version: string;
  /** `sha512-` and base64, as lockfiles write it. */
  integrity: string;
};

/**
 * The packages of an engine for a platform, in the version of node-llama-cpp that this program is made with. CUDA comes in two: the kernels
 * for CUDA 13, and for machines whose driver is older, those for CUDA 12. Empty where there are none: Apple's Metal is in the platform's
 * own package.
 */
export function gpuPackages(engine: GpuEngine, target: Target): GpuPackage[] {
  const names = engine === "cuda" ? [`${target}-cuda`, `${target}-cuda-ext`] : [`${target}-vulkan`];
  return names.flatMap((name) => {
    const full = `@node-llama-cpp/${name}`;
    const integrity = (pinned.packages as Record<string, string>)[full];
    return integrity === undefined ? [] : [{ name: full, version: pinned.version, integrity }];
  });
}
