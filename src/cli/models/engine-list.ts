import { hasBuiltInGpu } from "../../inference/llama/built-in-gpu.ts";
import { choosePack } from "../../inference/llama/packs/choose-pack.ts";
import { type GpuEngine, gpuEngines, gpuPackages } from "../../inference/llama/packs/gpu-packages.ts";
import {
  damagedFiles,
  type InstalledPack,
  installedPacks,
  packBytes,
} from "../../inference/llama/packs/pack-directory.ts";
import { hostTarget, type Target } from "../../inference/llama/platform.ts";
import { print, printColumns, printJson } from "../ui/io.ts";
import { formatBytes } from "../ui/progress.ts";

type EngineRow = {
  engine: GpuEngine;
  version: string;
  status: "installed" | "damaged" | "outdated" | "available";
  used: boolean;
  directory: string | null;
  bytes: number | null;
};

/** `models engine list`: what can compute on a GPU here. */
export async function runEngineList(options: { json?: boolean }): Promise<void> {
  const target = hostTarget();
  const builtIn = hasBuiltInGpu();
  const engines = engineRows(target, installedPacks(), builtIn);
  if (options.json) return printJson({ ok: true, builtIn, engines });
  if (builtIn) print("Kernels for a GPU are built into this program.");
  if (engines.length > 0)
    printColumns(
      ["ENGINE", "VERSION", "STATUS", "SIZE", "DIRECTORY"],
      engines.map(({ engine, version, status, used, directory, bytes }) => [
        engine,
        version,
        used ? `${status}, used` : status,
        bytes === null ? "" : formatBytes(bytes),
        directory ?? "",
      ]),
    );
  else if (!builtIn) print(`llama.cpp has no engine for a GPU on ${target}.`);
}

function engineRows(target: Target, packs: InstalledPack[], builtIn: boolean): EngineRow[] {
  const used = builtIn
    ? undefined
    : choosePack(
        target,
        packs.filter(({ current }) => current),
      );
  const installed = packs.map((pack): EngineRow => {
    const { engine, version, directory, current } = pack;
    const status = !current ? "outdated" : damagedFiles(pack).length > 0 ? "damaged" : "installed";
    return { engine, version, status, used: pack === used, directory, bytes: packBytes(pack) };
  });
  const available = gpuEngines.flatMap((engine): EngineRow[] => {
    const [first] = gpuPackages(engine, target);
    if (!first || packs.some((pack) => pack.engine === engine && pack.current)) return [];
    return [{ engine, version: first.version, status: "available", used: false, directory: null, bytes: null }];
  });
  return [...installed, ...available];
}
