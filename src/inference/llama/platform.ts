import { readFileSync } from "node:fs";
import { BlfError } from "../../lib/errors.ts";

export const targets = ["linux-x64", "linux-arm64", "darwin-arm64", "darwin-x64"] as const;

/** A platform that a build exists for, in Node's words for system and processor. */
export type Target = (typeof targets)[number];

/** One build of llama.cpp's CPU kernels, and the processor features it cannot do without. */
export type CpuVariant = { name: string; needs: readonly string[] };

const x64: readonly CpuVariant[] = [
  { name: "haswell", needs: ["avx2", "fma", "f16c", "bmi2"] },
  { name: "x64", needs: [] },
];

/**
 * The variants that a build ships, best first. llama.cpp would choose among fourteen, and they round differently: with one pinned,
 * nearly all nodes of a platform give the same bytes, and the determinism class says which one it was.
 */
export const cpuVariants: Record<Target, readonly CpuVariant[]> = {
  "linux-x64": x64,
  "darwin-x64": x64,
  "linux-arm64": [
    { name: "armv8.2_2", needs: ["asimddp", "asimdhp"] },
    { name: "armv8.0_1", needs: [] },
  ],
  "darwin-arm64": [{ name: "apple_m1", needs: [] }],
};

/** The npm package that holds llama.cpp's libraries for a platform. */
export const llamaPackages: Record<Target, string> = {
  "linux-x64": "@node-llama-cpp/linux-x64",
  "linux-arm64": "@node-llama-cpp/linux-arm64",
  "darwin-arm64": "@node-llama-cpp/mac-arm64-metal",
  "darwin-x64": "@node-llama-cpp/mac-x64",
};

/**
 * The platform that this process runs on.
 * @throws BlfError `ENGINE_PLATFORM_UNSUPPORTED`
 */
export function hostTarget(): Target {
  const name = `${process.platform}-${process.arch}`;
  const target = targets.find((known) => known === name);
  if (target) return target;
  throw new BlfError({
    code: "ENGINE_PLATFORM_UNSUPPORTED",
    message: `llama.cpp is not built for ${name}`,
    hint: `Run on one of ${targets.join(", ")}, or use a vLLM, Groq or Gemini backend.`,
  });
}

/** What a library file is for: needed by all, kernels of one CPU variant, a GPU, or of no use here. */
export type FileRole = { kind: "common" } | { kind: "cpu"; variant: string } | { kind: "gpu" } | { kind: "unused" };

/** The part that a file of the llama.cpp package plays on `target`. */
export function fileRole(name: string, target: Target): FileRole {
  const variant = /^libggml-cpu-(.+)\.so$/.exec(name)?.[1];
  if (variant !== undefined)
    return cpuVariants[target].some((known) => known.name === variant) ? { kind: "cpu", variant } : { kind: "unused" };
  // BLAS would take matrix products away from the pinned kernels.
  if (/^libggml-blas\./.test(name)) return { kind: "unused" };
  if (/^libggml-(metal|cuda|vulkan)\./.test(name)) return { kind: "gpu" };
  return { kind: "common" };
}

/** The best variant that a processor with these features can run. */
export function chooseVariant(target: Target, features: ReadonlySet<string>): CpuVariant {
  const variants = cpuVariants[target];
  return (
    variants.find((variant) => variant.needs.every((need) => features.has(need))) ?? variants[variants.length - 1]!
  );
}

/** The features of this machine's processor, in the words of Linux' /proc/cpuinfo. */
export function cpuFeatures(): ReadonlySet<string> {
  try {
    if (process.platform === "linux") return parseCpuInfo(readFileSync("/proc/cpuinfo", "latin1"));
    if (process.platform === "darwin" && process.arch === "x64") {
      const names = ["machdep.cpu.features", "machdep.cpu.leaf7_features"];
      const { stdout } = Bun.spawnSync(["/usr/sbin/sysctl", "-n", ...names], { stderr: "ignore" });
      return new Set(stdout.toString().toLowerCase().split(/\s+/));
    }
  } catch {
    // Without knowledge of the processor only the variant that needs nothing is safe.
  }
  return new Set();
}

/** The features that every processor of /proc/cpuinfo has: cores of one machine may differ. */
export function parseCpuInfo(text: string): ReadonlySet<string> {
  // Every start of the engine waits for this, so it is done with what is fast the first time it runs.
  let common: Set<string> | undefined;
  let seen = "";
  for (const key of ["flags", "Features"]) {
    for (
      let at = text.startsWith(key) ? 0 : text.indexOf(`\n${key}`);
      at !== -1;
      at = text.indexOf(`\n${key}`, at + 1)
    ) {
      const end = text.indexOf("\n", at + 1);
      const line = text.slice(text.indexOf(":", at) + 1, end === -1 ? undefined : end);
      if (line === seen) continue;
      seen = line;
      const features = new Set(line.trim().split(" "));
      common = common?.intersection(features) ?? features;
    }
  }
  return common ?? new Set();
}
