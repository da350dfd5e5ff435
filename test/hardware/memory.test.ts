import { expect, test } from "bun:test";
import { detectMemory } from "../../src/hardware/memory.ts";
import { files, tools } from "./machine.ts";

const none = tools({}).run;
const meminfo = "MemTotal:       65536000 kB\nMemFree:         1000000 kB\nMemAvailable:   40000000 kB\n";
const fallback = { total: 16e9, available: 2e9 };

test("Linux: what is available, not what is free", async () => {
  const memory = await detectMemory({ run: none, files: files({ "/proc/meminfo": meminfo }), platform: "linux" });
  expect(memory).toEqual({ total: 65_536_000 * 1024, available: 40_000_000 * 1024 });
});

test("a kernel that does not say what is available says what is free", async () => {
  const old = meminfo.replace(/MemAvailable.*\n/, "");
  const memory = await detectMemory({ run: none, files: files({ "/proc/meminfo": old }), platform: "linux" });
  expect(memory.available).toBe(1_000_000 * 1024);
});

test("a control group's limit counts, also one of an outer group (version 2)", async () => {
  const inGroup = (limits: Record<string, string>) =>
    detectMemory({
      run: none,
      platform: "linux",
      files: files({ "/proc/meminfo": meminfo, "/proc/self/cgroup": "0::/machine/node\n", ...limits }),
    });
  expect(
    await inGroup({
      "/sys/fs/cgroup/machine/node/memory.max": "max\n",
      "/sys/fs/cgroup/machine/node/memory.current": "100\n",
      "/sys/fs/cgroup/machine/memory.max": "8000000000\n",
      "/sys/fs/cgroup/machine/memory.current": "3000000000\n",
    }),
  ).toEqual({ total: 8e9, available: 5e9 });
  expect(
    await inGroup({
      "/sys/fs/cgroup/machine/node/memory.max": "1000\n",
      "/sys/fs/cgroup/machine/node/memory.current": "2000\n",
    }),
  ).toEqual({ total: 1000, available: 0 });
});

test("a control group's limit counts (version 1)", async () => {
  const memory = await detectMemory({
    run: none,
    platform: "linux",
    files: files({
      "/proc/meminfo": meminfo,
      "/proc/self/cgroup": "4:cpu,cpuacct:/x\n3:memory:/node\n",
      "/sys/fs/cgroup/memory/node/memory.limit_in_bytes": "4000000000\n",
      "/sys/fs/cgroup/memory/node/memory.usage_in_bytes": "1000000000\n",
    }),
  });
  expect(memory).toEqual({ total: 4e9, available: 3e9 });
});

test("macOS: pages that are free or can be given up, never more than there is", async () => {
  const text = `Mach Virtual Memory Statistics: (page size of 16384 bytes)
Pages free:                               10000.
Pages active:                            400000.
Pages inactive:                           20000.
Pages speculative:                         3000.
Pages purgeable:                            500.
`;
  const { run } = tools({ vm_stat: text });
  expect(await detectMemory({ run, platform: "darwin", fallback })).toEqual({
    total: 16e9,
    available: 33_500 * 16_384,
  });
  const huge = tools({ vm_stat: text.replace("10000.", "99999999.") }).run;
  expect((await detectMemory({ run: huge, platform: "darwin", fallback })).available).toBe(16e9);
});

test("a system that says nothing: what the runtime knows", async () => {
  for (const platform of ["linux", "darwin"] as const)
    expect(await detectMemory({ run: none, files: files({}), platform, fallback })).toEqual(fallback);
});
