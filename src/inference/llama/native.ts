import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { BlfError, errorCode } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { embeddedForGpu, hasBuiltInGpu } from "./built-in-gpu.ts";
import { cacheDirectory, ensureOwnDirectory, isUnwritable, temporaryCacheDirectory } from "./cache-directory.ts";
import { type EmbeddedPack, embeddedPack } from "./embedded-pack.ts";
import { linkCheckoutLibraries } from "./native-checkout.ts";
import { openPack, type Pack, type PackedFile, packedBytes } from "./pack.ts";
import { choosePack } from "./packs/choose-pack.ts";
import { type GpuEngine, gpuEngines } from "./packs/gpu-packages.ts";
import { noGpuEngine } from "./packs/gpu-trouble.ts";
import type { InstalledPack } from "./packs/pack-directory.ts";
import { linkPack } from "./packs/view.ts";
import { chooseVariant, cpuFeatures, hostTarget } from "./platform.ts";

/** Native libraries on the disk, ready to be opened. */
export type NativeLibraries = {
  directory: string;
  /** CPU variant; the directory holds the kernels of no other. */
  variant: string;
  /** Whether the directory holds GPU kernels too. */
  gpu: boolean;
  /** What its kernels for a GPU are for, where that is not Metal. */
  engine?: GpuEngine;
  /** Whether files were written by this call. */
  extracted: boolean;
};

export type NativeOptions = {
  log: Logger;
  /** The libraries for a GPU: those of this program, or of an engine that is installed. */
  gpu?: boolean;
  /** Engines that are installed; by default those in the cache. */
  gpuPacks?: InstalledPack[];
  /** Compares hashes, not only sizes, with what is on the disk. */
  verify?: boolean;
  /** Path of a pack; by default the one inside the executable. */
  packPath?: string | undefined;
  features?: ReadonlySet<string>;
  /** Tried in this order. */
  cacheDirectories?: string[];
  /** Where the system keeps its shared libraries. */
  systemDirectories?: string[];
};

type View = { variant: string; gpu: boolean; runtime: boolean };

const systemDirectories = [
  "/usr/lib/x86_64-linux-gnu",
  "/usr/lib/aarch64-linux-gnu",
  "/lib/x86_64-linux-gnu",
  "/lib/aarch64-linux-gnu",
  "/usr/lib64",
  "/lib64",
  "/usr/lib",
];

/**
 * Whether this system has no C++ library of its own, so that the pack's is needed. The system's is preferred: it fits the system's glibc,
 * while the pack's needs one at least as new as that of the machine which built it.
 */
function lacksRuntime(directories: string[]): boolean {
  const has = (name: string) => directories.some((directory) => existsSync(`${directory}/${name}`));
  return !has("libstdc++.so.6") || !has("libgcc_s.so.1");
}

/**
 * Puts the libraries of llama.cpp on the disk, once: the directory is named by their content, and later starts only compare sizes.
 * @throws BlfError `ENGINE_NO_GPU`, `ENGINE_PACK_DAMAGED`, `NATIVE_EXTRACT_FAILED`, `NATIVE_CACHE_UNSAFE`, `NATIVE_PACK_CORRUPT`, `ENGINE_PLATFORM_UNSUPPORTED`
 */
export async function ensureNativeLibraries(options: NativeOptions): Promise<NativeLibraries> {
  const variant = chooseVariant(hostTarget(), options.features ?? cpuFeatures()).name;
  const gpu = options.gpu ?? false;
  const view = { variant, gpu, runtime: lacksRuntime(options.systemDirectories ?? systemDirectories) };
  if (gpu && options.packPath === undefined && (options.gpuPacks || !hasBuiltInGpu())) return installed(options, view);
  const embedded = gpu ? embeddedForGpu() : embeddedPack;
  const pack = options.packPath === undefined ? openEmbedded(embedded) : await openPack(options.packPath);
  if (!pack) return { variant, gpu, directory: linkCheckoutLibraries(view), extracted: false };
  const files = filesOfView(pack, view);
  const engine = gpu
    ? gpuEngines.find((known) => files.some((file) => file.name === `libggml-${known}.so`))
    : undefined;
  const name = `${pack.header.id}-${variant}${gpu ? "-gpu" : ""}${view.runtime ? "-runtime" : ""}`;
  const places = options.cacheDirectories?.map((place) => () => place) ?? [cacheDirectory, temporaryCacheDirectory];
  let failure: unknown;
  for (const [index, place] of places.entries()) {
    const directory = join(place(), "native", name);
    try {
      const extracted = await extract({ pack, files, directory, verify: options.verify ?? false });
      if (index > 0) options.log.warn("the cache directory cannot be written, using another", { path: directory });
      return { variant, gpu, directory, extracted, ...(engine ? { engine } : {}) };
    } catch (error) {
      if (error instanceof BlfError) throw error;
      failure = error;
      if (!isUnwritable(error)) break;
    }
  }
  throw new BlfError({
    code: "NATIVE_EXTRACT_FAILED",
    message: `Cannot unpack the llama.cpp libraries (${errorCode(failure)})`,
    hint: "Set XDG_CACHE_HOME to a writable directory with 40 MB of free space.",
    cause: failure,
  });
}

/** The libraries of an engine that is installed; where the system has no C++ library, with that of this executable. */
async function installed(options: NativeOptions, view: View): Promise<NativeLibraries> {
  const gpuPack = choosePack(hostTarget(), options.gpuPacks);
  if (!gpuPack) throw noGpuEngine();
  const verify = options.verify ?? false;
  const directory = linkPack(gpuPack, { ...view, verify });
  const pack = openEmbedded(embeddedPack);
  const files = view.runtime && pack ? pack.header.files.filter(({ role }) => role === "runtime") : [];
  const extracted = pack && files.length > 0 ? await extract({ pack, files, directory, verify }) : false;
  return { variant: view.variant, gpu: true, engine: gpuPack.engine, directory, extracted };
}

/** The pack of this executable; its file is not touched before its body is needed. */
function openEmbedded(embedded: EmbeddedPack | undefined): Pack | undefined {
  return embedded && { header: embedded.header, body: async () => (await openPack(embedded.path)).body() };
}

/** What llama.cpp may see: it loads every kernel library that it finds beside itself. */
function filesOfView(pack: Pack, view: View): PackedFile[] {
  const { files } = pack.header;
  if (view.gpu && !files.some((file) => file.role === "gpu")) throw noGpuEngine();
  return files.filter(
    (file) =>
      file.role === "common" ||
      (file.role === "cpu" && file.variant === view.variant) ||
      (file.role === "gpu" && view.gpu) ||
      (file.role === "runtime" && view.runtime),
  );
}

type Extraction = { pack: Pack; files: PackedFile[]; directory: string; verify: boolean };

/**
 * Writes the files that are missing or damaged, each under a name of its own that is then renamed. So a process that uses the
 * directory keeps its files, and processes that extract at the same time only do the same work twice.
 */
async function extract({ pack, files, directory, verify }: Extraction): Promise<boolean> {
  const isGood = verify ? hasContent : hasSize;
  const damaged = files.filter((file) => !isGood(directory, file));
  ensureOwnDirectory(directory);
  if (damaged.length === 0) return false;
  const body = await pack.body();
  for (const file of damaged) {
    const bytes = packedBytes(body, file);
    const temporary = join(directory, `.${file.sha256.slice(0, 12)}.${process.pid}-${randomBytes(4).toString("hex")}`);
    try {
      mkdirSync(dirname(join(directory, file.name)), { recursive: true, mode: 0o700 });
      writeFileSync(temporary, bytes, { flag: "wx", mode: 0o500 });
      renameSync(temporary, join(directory, file.name));
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
  }
  return true;
}

function hasSize(directory: string, file: PackedFile): boolean {
  return statSync(`${directory}/${file.name}`, { throwIfNoEntry: false })?.size === file.size;
}

function hasContent(directory: string, file: PackedFile): boolean {
  if (!hasSize(directory, file)) return false;
  return (
    createHash("sha256")
      .update(readFileSync(join(directory, file.name)))
      .digest("hex") === file.sha256
  );
}
