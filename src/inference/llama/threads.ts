import { availableParallelism } from "node:os";
import { join } from "node:path";
import { controlGroups, type ReadText, readTextFile } from "./cgroup.ts";

export type CoreOptions = {
  /** The text of a file, or undefined if it is not there. */
  readText?: ReadText;
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

/** The smallest quota on the way from this process' groups up to the root, in cores. */
function cgroupCores(readText: ReadText): number | undefined {
  const quotas: number[] = [];
  for (const { version, directory } of controlGroups(readText, "cpu")) {
    const quota = (version === 1 ? quotaV1 : quotaV2)(readText, directory);
    if (quota !== undefined) quotas.push(quota);
  }
  return quotas.length > 0 ? Math.min(...quotas) : undefined;
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
