import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod/mini";
import { cacheDirectory, temporaryCacheDirectory } from "../cache-directory.ts";
import { type Target, targets } from "../platform.ts";
import { type GpuEngine, type GpuPackage, gpuEngines, gpuPackages } from "./gpu-packages.ts";

const count = z.int().check(z.nonnegative());

const descriptionSchema = z.strictObject({
  format: z.literal(1),
  engine: z.enum(gpuEngines),
  target: z.enum(targets),
  /** Of the npm packages. */
  version: z.string(),
  /** Of llama.cpp. */
  release: z.string(),
  files: z.array(
    z.strictObject({
      /** With `fallback/` in front where llama.cpp looks for it last. */
      name: z.string().check(z.regex(/^(fallback\/)?[\w@+-][\w.@+-]*$/)),
      size: count,
      sha256: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
      role: z.enum(["common", "cpu", "gpu"]),
      variant: z.optional(z.string()),
    }),
  ),
});

/** What lies in an installed pack, as its own file says. */
export type PackDescription = z.output<typeof descriptionSchema>;

/** Libraries of llama.cpp for a GPU, on the disk. */
export type InstalledPack = PackDescription & {
  /** Name of its directory: packs of another version have another. */
  name: string;
  directory: string;
  /** Whether it belongs to this very version of the program. */
  current: boolean;
};

export const descriptionFile = "pack.json";

/** Directories of caches: a pack is looked for in all of them, and installed into the first that can be written. */
export function cachePlaces(): string[] {
  return [cacheDirectory(), temporaryCacheDirectory()];
}

/** Where the packs of a cache lie. */
export function packRoot(cache: string): string {
  return join(cache, "engines");
}

/** `linux-x64-cuda-3.21.1-0123456789ab`, the digits from the pinned hashes of its packages. */
export function packName(engine: GpuEngine, target: Target, packages: readonly GpuPackage[]): string {
  const digits = createHash("sha256").update(packages.map(({ integrity }) => integrity).join("\n"));
  return `${target}-${engine}-${packages[0]!.version}-${digits.digest("hex").slice(0, 12)}`;
}

/** Every pack that is installed, also those of other versions; what cannot be understood is left out. */
export function installedPacks(caches = cachePlaces()): InstalledPack[] {
  return caches.flatMap((cache) => namesIn(packRoot(cache)).flatMap((name) => readPack(packRoot(cache), name) ?? []));
}

/** The pack that this version of the program uses. */
export function findPack(engine: GpuEngine, target: Target, caches = cachePlaces()): InstalledPack | undefined {
  return installedPacks(caches).find((pack) => pack.current && pack.engine === engine && pack.target === target);
}

function namesIn(root: string): string[] {
  return existsSync(root) ? readdirSync(root).filter((name) => !name.startsWith(".")) : [];
}

function readPack(root: string, name: string): InstalledPack | undefined {
  const directory = join(root, name);
  try {
    const text = readFileSync(join(directory, descriptionFile), "utf8");
    const description = descriptionSchema.parse(JSON.parse(text));
    const { engine, target } = description;
    const packages = gpuPackages(engine, target);
    const current = packages.length > 0 && packName(engine, target, packages) === name;
    return { ...description, name, directory, current };
  } catch {
    return undefined;
  }
}

/** Names of files that are missing or are not what was installed. With `content` they are hashed, which takes a second. */
export function damagedFiles(pack: InstalledPack, options: { content?: boolean } = {}): string[] {
  return pack.files
    .filter(({ name, size, sha256 }) => {
      const path = join(pack.directory, name);
      if (statSync(path, { throwIfNoEntry: false })?.size !== size) return true;
      return options.content === true && sha256 !== createHash("sha256").update(readFileSync(path)).digest("hex");
    })
    .map(({ name }) => name);
}

/** What a pack takes on the disk. */
export function packBytes(pack: PackDescription): number {
  return pack.files.reduce((sum, { size }) => sum + size, 0);
}
