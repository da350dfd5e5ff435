import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";

export type CoreOptions = {
  /** The text of a file, or undefined if it is not there. */
  readText?: (path: string) => string | undefined;
  /** Cores of the machine, for systems without /proc. */
  available?: number;
};

/**
 * How many cores this process may really use: those of its affinity mask, and no more than the control groups it is in allow (v1 and
 * v2). Threads beyond that do not merely share cores: llama.cpp's wait for each other in a loop, and speed falls to a hundredth.
 */
export function usableCores({ readText = readTextFile, available = availableParallelism() }: CoreOptions = {}): number {
  const affinity = affinityCores(readText("/proc/self/status")) ?? available;
  const quota = cgroupCores(readText);
  return Math.max(1, Math.min(affinity, quota === undefined ? affinity : Math.floor(quota)));
}

function affinityCores(status: string | undefined): number | undefined {
  const list = /^Cpus_allowed_list:\s*([\d,-]+)/m.exec(status ?? "")?.[1];
  if (list === undefined) return undefined;
  return list.split(",").reduce((count, range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return count + last - first + 1;
  }, 0);
}

type ReadText = NonNullable<CoreOptions["readText"]>;

/** The smallest quota on the way from this process' groups up to the root, in cores. */
function cgroupCores(readText: ReadText): number | undefined {
  const quotas: number[] = [];
  for (const line of (readText("/proc/self/cgroup") ?? "").split("\n")) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    const isV1 = controllers.split(",").includes("cpu");
    if (controllers !== "" && !isV1) continue;
    const roots = isV1 ? [`/sys/fs/cgroup/${controllers}`, "/sys/fs/cgroup/cpu"] : ["/sys/fs/cgroup"];
    for (const root of roots)
      for (const group of ancestors(path)) {
        const quota = (isV1 ? quotaV1 : quotaV2)(readText, join(root, group));
        if (quota !== undefined) quotas.push(quota);
      }
  }
  return quotas.length > 0 ? Math.min(...quotas) : undefined;
}

function ancestors(path: string): string[] {
  const parent = dirname(path);
  return parent === path ? [path] : [path, ...ancestors(parent)];
}

function quotaV2(readText: ReadText, group: string): number | undefined {
  const [quota, period] = (readText(join(group, "cpu.max")) ?? "").trim().split(/\s+/);
  return cores(quota, period);
}

function quotaV1(readText: ReadText, group: string): number | undefined {
  return cores(readText(join(group, "cpu.cfs_quota_us"))?.trim(), readText(join(group, "cpu.cfs_period_us"))?.trim());
}

/** "max" and -1 mean that there is no limit. */
function cores(quota: string | undefined, period: string | undefined): number | undefined {
  const value = Number(quota) / Number(period);
  return quota !== undefined && Number.isFinite(value) && value > 0 ? value : undefined;
}

function readTextFile(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
