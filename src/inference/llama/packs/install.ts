import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../../lib/clock.ts";
import { BlfError } from "../../../lib/errors.ts";
import { type FileLock, tryLockFile } from "../../../lib/file-lock.ts";
import { fileError } from "../../../lib/files.ts";
import type { Fetch } from "../../../lib/http.ts";
import { createTransport } from "../../pull/transport.ts";
import { ensureOwnDirectory } from "../cache-directory.ts";
import { hostTarget, type Target } from "../platform.ts";
import { downloadPackage } from "./download.ts";
import { engineUnsupported, installRunning } from "./errors.ts";
import { type GpuEngine, type GpuPackage, gpuPackages } from "./gpu-packages.ts";
import { cachePlaces, damagedFiles, type InstalledPack, installedPacks, packName, packRoot } from "./pack-directory.ts";
import { unpackPackages } from "./unpack.ts";

export type InstallOptions = {
  engine: GpuEngine;
  /** Of the npm registry, without a slash at its end. */
  registryUrl: string;
  fetch: Fetch;
  clock: Clock;
  signal: AbortSignal;
  /** Bytes of one package so far, and in all if the registry says. */
  onProgress?(name: string, received: number, total: number | undefined): void;
  /** By default this machine's, and what is pinned for it. */
  target?: Target;
  packages?: GpuPackage[];
  /** The first takes a new pack. */
  caches?: string[];
  /** Longest silence of the registry, in milliseconds. */
  idleMs?: number;
};

export type InstallResult = {
  pack: InstalledPack;
  /** False when it was there already, whole. */
  installed: boolean;
};

/**
 * Fetches the packages of an engine from an npm registry, compares them with the hashes that are pinned in this program, and unpacks
 * what this program uses of them in one step: other processes see the whole pack or none.
 * @throws BlfError `ENGINE_PACK_*`, `DISK_FULL`, `FILE_*`, `NATIVE_CACHE_UNSAFE`; the signal's reason when aborted.
 */
export async function installPack(options: InstallOptions): Promise<InstallResult> {
  const { engine, target = hostTarget(), caches = cachePlaces() } = options;
  const packages = options.packages ?? gpuPackages(engine, target);
  if (packages.length === 0) throw engineUnsupported(engine, target);
  const name = packName(engine, target, packages);
  const find = () => installedPacks(caches).find((pack) => pack.name === name);
  const there = find();
  if (there && damagedFiles(there, { content: true }).length === 0) return { pack: there, installed: false };

  const root = packRoot(caches[0]!);
  prepare(root);
  const lock = lockAt(join(root, `.${name}.lock`));
  removeLeftovers(root, name);
  const staging = join(root, `.${name}.${randomBytes(4).toString("hex")}`);
  const downloads = join(root, `.${name}.download`);
  try {
    const tarballs = await downloadAll(options, packages, downloads);
    await unpackPackages({ engine, target, tarballs, directory: staging });
    putInPlace(staging, join(root, name));
    rmSync(downloads, { recursive: true, force: true });
  } finally {
    rmSync(staging, { recursive: true, force: true });
    lock.release();
  }
  const pack = find();
  if (!pack) throw fileError("read", join(root, name), { code: "ENOENT" });
  return { pack, installed: true };
}

async function downloadAll(options: InstallOptions, packages: GpuPackage[], directory: string) {
  const { registryUrl, fetch, clock, signal, onProgress, idleMs } = options;
  const transport = createTransport({ fetch, clock, hubUrl: registryUrl, ...(idleMs ? { idleMs } : {}) });
  const tarballs = packages.map((wanted) => ({
    package: wanted,
    path: join(directory, `${wanted.name.replaceAll("/", "__")}.tgz`),
  }));
  for (const { package: wanted, path } of tarballs)
    await downloadPackage({
      package: wanted,
      registryUrl,
      path,
      transport,
      clock,
      signal,
      onProgress: (received, total) => onProgress?.(wanted.name, received, total),
    });
  return tarballs;
}

function prepare(root: string): void {
  try {
    mkdirSync(root, { recursive: true, mode: 0o700 });
    ensureOwnDirectory(root);
  } catch (error) {
    throw error instanceof BlfError ? error : fileError("create the directory", root, error);
  }
}

/** What a process that was killed while it unpacked has left; nobody else unpacks while we hold the lock. */
function removeLeftovers(root: string, name: string): void {
  const pattern = /^\.[0-9a-f]{8}(\.old)?$/;
  for (const entry of readdirSync(root))
    if (entry.startsWith(`.${name}`) && pattern.test(entry.slice(name.length + 1)))
      rmSync(join(root, entry), { recursive: true, force: true });
}

function lockAt(path: string): FileLock {
  let lock: FileLock | undefined;
  try {
    lock = tryLockFile(path);
  } catch (error) {
    throw fileError("lock", path, error);
  }
  if (lock) return lock;
  throw installRunning();
}

/** A damaged pack of the same name makes room; what a process has opened of it stays until that ends. */
function putInPlace(staging: string, final: string): void {
  const old = `${staging}.old`;
  try {
    if (existsSync(final)) renameSync(final, old);
    renameSync(staging, final);
  } catch (error) {
    throw fileError("write", final, error);
  } finally {
    rmSync(old, { recursive: true, force: true });
  }
}
