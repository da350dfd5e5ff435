import { join } from "node:path";
import type { GpuEngine } from "../src/inference/llama/packs/gpu-packages.ts";
import { installPack } from "../src/inference/llama/packs/install.ts";
import type { InstalledPack } from "../src/inference/llama/packs/pack-directory.ts";
import type { Target } from "../src/inference/llama/platform.ts";
import { systemClock } from "../src/lib/clock.ts";

export type EngineOptions = {
  engine: GpuEngine;
  target: Target;
  /** The checkout; what is downloaded is kept under its `build`. */
  root: string;
  print: (line: string) => void;
};

/** Fetches the libraries for a GPU that a build takes in, as `models engine install` does on the machine itself. */
export async function installEngine({ engine, target, root, print }: EngineOptions): Promise<InstalledPack> {
  const registryUrl = process.env["BLF_NPM_REGISTRY_URL"] || "https://registry.npmjs.org";
  const { pack, installed } = await installPack({
    engine,
    target,
    registryUrl: registryUrl.replace(/\/+$/, ""),
    fetch: globalThis.fetch,
    clock: systemClock,
    signal: new AbortController().signal,
    caches: [join(root, "build", "cache")],
  });
  if (installed) print(`fetched the ${engine} engine: ${pack.files.length} files`);
  return pack;
}
