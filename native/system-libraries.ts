import { existsSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";

const usualDirectories = [
  "/usr/lib/x86_64-linux-gnu",
  "/usr/lib/aarch64-linux-gnu",
  "/lib64",
  "/usr/lib64",
  "/usr/lib",
  "/lib",
];

const elfMachines = { x64: 62, arm64: 183 } as const;

/**
 * Finds a shared library of this system for its own processor: where the dynamic linker says, or in the usual places.
 * No compiler is asked, since machines that build need not have one.
 */
export function findSystemLibrary(name: string, cpu: keyof typeof elfMachines): string | undefined {
  const candidates = [...fromLinkerCache(name), ...usualDirectories.map((directory) => join(directory, name))];
  const found = candidates.find((path) => existsSync(path) && machineOf(path) === elfMachines[cpu]);
  return found && realpathSync(found);
}

function fromLinkerCache(name: string): string[] {
  for (const ldconfig of ["ldconfig", "/sbin/ldconfig", "/usr/sbin/ldconfig"]) {
    try {
      const { stdout, success } = Bun.spawnSync([ldconfig, "-p"], { stderr: "ignore" });
      if (!success) continue;
      const lines = stdout.toString().split("\n");
      return lines
        .filter((line) => line.trim().startsWith(`${name} `))
        .map((line) => line.slice(line.indexOf("=>") + 3));
    } catch {
      // Not every system has it, and not everywhere in PATH.
    }
  }
  return [];
}

function machineOf(path: string): number {
  const head = readFileSync(path).subarray(0, 20);
  return head.toString("latin1", 0, 4) === "\x7fELF" ? head.readUInt16LE(18) : 0;
}

/** The newest glibc that any of these libraries asks for, `2.38`, by the names of its symbol versions. */
export function newestGlibc(libraries: Uint8Array[]): string | undefined {
  const versions = libraries.flatMap((library) =>
    [
      ...Buffer.from(library)
        .toString("latin1")
        .matchAll(/GLIBC_(\d+)\.(\d+)(?:\.\d+)?\0/g),
    ].map(([, major, minor]) => [Number(major), Number(minor)] as const),
  );
  const newest = versions.sort((a, b) => b[0] - a[0] || b[1] - a[1])[0];
  return newest?.join(".");
}
