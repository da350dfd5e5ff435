import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { until } from "../helpers/until.ts";

const source = (path: string) => fileURLToPath(new URL(`../../src/${path}`, import.meta.url));

const isLinux = process.platform === "linux";

/** What the kernel says of the process: whether it may be dumped (prctl 3 is PR_GET_DUMPABLE). */
const ask = `
  const { dlopen } = await import("bun:ffi");
  const { symbols } = dlopen("libc.so.6", { prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" } });
  const dumpable = () => symbols.prctl(3, 0n, 0n, 0n, 0n);
  const { protectMemory } = await import(${JSON.stringify(source("lib/protect-memory.ts"))});
  console.log(JSON.stringify([dumpable(), protectMemory(), dumpable(), protectMemory()]));
`;

test.skipIf(!isLinux)("takes a process out of the reach of debuggers and dumps", () => {
  const { stdout } = Bun.spawnSync([process.execPath, "-e", ask]);
  expect(JSON.parse(stdout.toString())).toEqual([1, true, 0, true]);
});

test.skipIf(!isLinux).each(["__engine", "devnet --port-base 0"])("is what `%s` does first", async (line) => {
  // Where the limit is zero already, and may not be raised, this sees only that it stays so.
  const allowCores = 'ulimit -c unlimited 2>/dev/null; exec "$0" "$@"';
  const child = Bun.spawn(["/bin/sh", "-c", allowCores, process.execPath, source("main.ts"), ...line.split(" ")], {
    env: { PATH: "/usr/bin:/bin", HOME: "/nonexistent" },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "ignore",
    // The engine talks to the process that started it.
    ...(line === "__engine" ? { ipc: () => {} } : {}),
  });
  try {
    const limits = () => readFileSync(`/proc/${child.pid}/limits`, "utf8");
    await until("no core may be written", () => /^Max core file size +0 +0 /m.test(limits()));
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
});

test.skipIf(!isLinux)("takes the values of variables out of what /proc tells of the process", () => {
  const script = `
    const { readFileSync } = await import("node:fs");
    const { eraseEnvironment } = await import(${JSON.stringify(source("lib/protect-memory.ts"))});
    const environ = () => readFileSync("/proc/self/environ", "latin1");
    const value = process.env.FIRST;
    const before = environ();
    const erased = eraseEnvironment(["FIRST", "SECOND", "MISSING", "EMPTY"]);
    delete process.env.FIRST;
    delete process.env.SECOND;
    console.log(JSON.stringify({ value, before, erased, after: environ(), other: process.env.OTHER }));
  `;
  const env = { FIRST: "canary-one", SECOND: "canary-two", OTHER: "stays", EMPTY: "" };
  const { stdout } = Bun.spawnSync([process.execPath, "-e", script], { env });
  const seen = JSON.parse(stdout.toString()) as Record<string, unknown>;
  expect(seen).toMatchObject({ value: "canary-one", erased: true, other: "stays" });
  expect(seen["before"]).toContain("canary-two");
  expect(seen["after"]).toContain("OTHER=stays");
  expect(seen["after"]).not.toContain("canary");
});
