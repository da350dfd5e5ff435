import { describe, expect, test } from "bun:test";
import { usableCores } from "../../../src/inference/llama/threads.ts";

const cores = (files: Record<string, string>, available = 64) =>
  usableCores({ readText: (path) => files[path], available });

const status = (list: string) => ({
  "/proc/self/status": `Name:\tx\nCpus_allowed:\tff\nCpus_allowed_list:\t${list}\n`,
});

describe("usableCores", () => {
  test("are those of the affinity mask", () => {
    expect(cores(status("0-7"))).toBe(8);
    expect(cores(status("0,2-3,8"))).toBe(4);
    expect(cores(status("5"))).toBe(1);
  });

  test("are those of the machine where there is no /proc", () => {
    expect(cores({}, 10)).toBe(10);
  });

  test("are limited by cgroup v2, by whichever group is the tightest", () => {
    const files = {
      ...status("0-15"),
      "/proc/self/cgroup": "0::/a/b\n",
      "/sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
      "/sys/fs/cgroup/a/cpu.max": "350000 100000\n",
    };
    expect(cores(files)).toBe(3);
    expect(cores({ ...files, "/sys/fs/cgroup/cpu.max": "200000 100000\n" })).toBe(2);
    expect(cores({ ...files, "/sys/fs/cgroup/a/cpu.max": "max 100000\n" })).toBe(16);
  });

  test("are limited by cgroup v1", () => {
    const files = {
      ...status("0-15"),
      "/proc/self/cgroup": "5:memory:/x\n4:cpu,cpuacct:/docker/1\n",
      "/sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us": "450000\n",
      "/sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us": "100000\n",
    };
    expect(cores(files)).toBe(4);
    expect(cores({ ...files, "/sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us": "-1\n" })).toBe(16);
  });

  test("are never less than one", () => {
    expect(cores({ ...status("0-3"), "/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "50000 100000\n" })).toBe(
      1,
    );
  });

  test("of this process are at least one and at most what the system has", () => {
    expect(usableCores()).toBeGreaterThanOrEqual(1);
    expect(usableCores()).toBeLessThanOrEqual(navigator.hardwareConcurrency);
  });
});
