import { freemem, totalmem } from "node:os";
import { dirname, join } from "node:path";
import type { ProbeCommand } from "./probe-command.ts";
import { type SystemFiles, systemFiles } from "./system-files.ts";

/** Main memory, in bytes. */
export type Memory = {
  total: number;
  /** What a new program can take without anything being swapped out. */
  available: number;
};

export type MemoryOptions = {
  run: ProbeCommand;
  files?: SystemFiles;
  platform?: NodeJS.Platform;
  /** What the runtime says, used where the system is not known better. */
  fallback?: Memory;
};

/** The machine's memory, or what the control group of this process may use if that is less. */
export async function detectMemory(options: MemoryOptions): Promise<Memory> {
  const { files = systemFiles, platform = process.platform } = options;
  const fallback = options.fallback ?? { total: totalmem(), available: freemem() };
  if (platform === "darwin") {
    const available = parseVmStat(await options.run("vm_stat", []));
    return { total: fallback.total, available: Math.min(available ?? fallback.available, fallback.total) };
  }
  const machine = parseMeminfo(files.readText("/proc/meminfo")) ?? fallback;
  return groupLimits(files).reduce(
    (memory, { limit, used }) => ({
      total: Math.min(memory.total, limit),
      available: Math.max(0, Math.min(memory.available, limit - used)),
    }),
    machine,
  );
}

/** Linux' /proc/meminfo, sizes in kB. */
export function parseMeminfo(text: string | undefined): Memory | undefined {
  const bytes = (name: string) => {
    const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text ?? "")?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  };
  const total = bytes("MemTotal");
  const available = bytes("MemAvailable") ?? bytes("MemFree");
  return total === undefined || available === undefined ? undefined : { total, available };
}

/** macOS' vm_stat: pages that are free, or can be given up at once. */
export function parseVmStat(text: string | undefined): number | undefined {
  const pageSize = /page size of (\d+) bytes/.exec(text ?? "")?.[1];
  if (pageSize === undefined) return undefined;
  const pages = (name: string) => Number(new RegExp(`^Pages ${name}:\\s+(\\d+)\\.`, "m").exec(text!)?.[1] ?? 0);
  return Number(pageSize) * (pages("free") + pages("inactive") + pages("speculative") + pages("purgeable"));
}

/** Limits of the control groups (v1 and v2) that this process is in, from the innermost to the root. */
function groupLimits({ readText }: SystemFiles): { limit: number; used: number }[] {
  return (readText("/proc/self/cgroup") ?? "").split("\n").flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) return [];
    const isV1 = controllers.split(",").includes("memory");
    if (controllers !== "" && !isV1) return [];
    const root = isV1 ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup";
    const names = isV1
      ? { limit: "memory.limit_in_bytes", used: "memory.usage_in_bytes" }
      : { limit: "memory.max", used: "memory.current" };
    return ancestors(path).flatMap((group) => {
      const read = (name: string) => Number(readText(join(root, group, name))?.trim() || Number.NaN);
      const limit = read(names.limit);
      const used = read(names.used);
      return limit > 0 && used >= 0 ? [{ limit, used }] : [];
    });
  });
}

function ancestors(path: string): string[] {
  const parent = dirname(path);
  return parent === path ? [path] : [path, ...ancestors(parent)];
}
