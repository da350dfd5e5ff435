import { llamaPackages, type Target, targets } from "../src/inference/llama/platform.ts";

/** What a build for one platform is made of. */
export type Platform = {
  target: Target;
  /** Values of `bun install --os` and `--cpu`. */
  os: "linux" | "darwin";
  cpu: "x64" | "arm64";
  /** npm package of the pinned Bun runtime. */
  runtimePackage: string;
  /** npm package of llama.cpp's libraries. */
  llamaPackage: string;
  /** Bun's name of the target. */
  bunTarget: Bun.Build.CompileTarget;
  /** Shared libraries of the C++ compiler that llama.cpp needs and that not every system has. */
  systemLibraries: readonly string[];
};

const gcc = ["libstdc++.so.6", "libgcc_s.so.1"] as const;

function platform(
  target: Target,
  runtimePackage: string,
  bunTarget: Bun.Build.CompileTarget,
  systemLibraries: readonly string[],
): Platform {
  const [os, cpu] = target.split("-") as [Platform["os"], Platform["cpu"]];
  return { target, os, cpu, runtimePackage, bunTarget, systemLibraries, llamaPackage: llamaPackages[target] };
}

/** All platforms that the executable is built for. Versions of the packages are pinned in package.json. */
export const platforms: Record<Target, Platform> = {
  "linux-x64": platform("linux-x64", "@oven/bun-linux-x64", "bun-linux-x64", gcc),
  "linux-arm64": platform("linux-arm64", "@oven/bun-linux-aarch64", "bun-linux-arm64", gcc),
  "darwin-arm64": platform("darwin-arm64", "@oven/bun-darwin-aarch64", "bun-darwin-arm64", []),
  "darwin-x64": platform("darwin-x64", "@oven/bun-darwin-x64", "bun-darwin-x64", []),
};

/** The platform that a word of the command line means. */
export function platformOf(name: string): Platform | undefined {
  const target = targets.find((known) => known === name);
  return target && platforms[target];
}
