import { engineUnknown } from "../../inference/llama/packs/errors.ts";
import { type GpuEngine, gpuEngines } from "../../inference/llama/packs/gpu-packages.ts";
import { installPack } from "../../inference/llama/packs/install.ts";
import { packBytes } from "../../inference/llama/packs/pack-directory.ts";
import { systemClock } from "../../lib/clock.ts";
import { openSession } from "../session.ts";
import { interruptSignal } from "../ui/interrupt.ts";
import { printJson, printTable } from "../ui/io.ts";
import { createProgress, formatBytes, type Progress } from "../ui/progress.ts";

const defaultRegistry = "https://registry.npmjs.org";

/** `models engine install`: fetches the libraries for a GPU. It needs no node, so that it can come before `init`. */
export async function runEngineInstall(name: string, options: { json?: boolean }): Promise<void> {
  const engine = parseEngine(name);
  const { config } = openSession({ initialised: false });
  const { signal, clear } = interruptSignal();
  const bars = new Map<string, Progress>();
  try {
    const { pack, installed } = await installPack({
      engine,
      registryUrl: config.npm_registry_url || defaultRegistry,
      fetch: globalThis.fetch,
      clock: systemClock,
      signal,
      onProgress: (label, received, total) => {
        if (options.json) return;
        const bar = bars.get(label) ?? createProgress({ label });
        bars.set(label, bar);
        bar.update(received, total);
        if (received === total) bar.done();
      },
    });
    const { version, release, directory } = pack;
    const bytes = packBytes(pack);
    if (options.json) return printJson({ ok: true, engine, version, release, directory, bytes, installed });
    printTable([
      ["engine", `${engine}, llama.cpp ${release}`],
      ["directory", `${directory}, ${formatBytes(bytes)}${installed ? "" : ", was there already"}`],
      ["next", "set gpu_layers of a model, and run `blindference test-determinism`"],
    ]);
  } finally {
    for (const bar of bars.values()) bar.done();
    clear();
  }
}

/** @throws BlfError `ENGINE_PACK_UNKNOWN` (usage) */
export function parseEngine(name: string): GpuEngine {
  const engine = gpuEngines.find((known) => known === name);
  if (engine) return engine;
  throw engineUnknown(name, gpuEngines);
}
