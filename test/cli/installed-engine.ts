import { createHash } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type GpuEngine, gpuPackages } from "../../src/inference/llama/packs/gpu-packages.ts";
import { descriptionFile, packName, packRoot } from "../../src/inference/llama/packs/pack-directory.ts";
import { hostTarget } from "../../src/inference/llama/platform.ts";

/** Whether there are engines to install for this machine's platform. */
export const hasEngines = gpuPackages("vulkan", hostTarget()).length > 0;

/**
 * Puts an engine in place as an earlier installation would have left it, with other files, and gives the environment in which it is found:
 * the pinned packages have hundreds of megabytes, which no test downloads.
 */
export function installedEngine(directory: string, engine: GpuEngine): Record<string, string> {
  const target = hostTarget();
  const packages = gpuPackages(engine, target);
  const cache = join(directory, "cache");
  const place = join(packRoot(join(cache, "blindference")), packName(engine, target, packages));
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place, { recursive: true, mode: 0o700 });
  const contents = { "llama-addon.node": "addon", [`libggml-${engine}.so`]: "kernels" };
  const files = Object.entries(contents).map(([name, text]) => {
    writeFileSync(join(place, name), text);
    const sha256 = createHash("sha256").update(text).digest("hex");
    return { name, size: text.length, sha256, role: name.startsWith("libggml") ? "gpu" : "common" };
  });
  const description = { format: 1, engine, target, version: packages[0]!.version, release: "v1", files };
  writeFileSync(join(place, descriptionFile), JSON.stringify(description));
  return { XDG_CACHE_HOME: cache };
}
