import { createHash, randomBytes } from "node:crypto";
import { existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BlfError, errorCode } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { cacheDirectory, ensureOwnDirectory, isUnwritable, temporaryCacheDirectory } from "./cache-directory.ts";
import { type EmbeddedPack, embeddedPack } from "./embedded-pack.ts";
import { linkCheckoutLibraries } from "./native-checkout.ts";
import { openPack, type Pack, type PackedFile, packedBytes } from "./pack.ts";
import { chooseVariant, cpuFeatures, hostTarget } from "./platform.ts";

/** Native libraries on the disk, ready to be opened. */
export type NativeLibraries = {
  directory: string;
  /** CPU variant; the directory holds the kernels of no other. */
  variant: string;
  /** Whether the directory holds GPU kernels too. */
  gpu: boolean;
  /** Whether files were written by this call. */
  extracted: boolean;
};

export type NativeOptions = {
  log: Logger;
  /** Adds the GPU's library. */
  gpu?: boolean;
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
 * @throws BlfError `ENGINE_NO_GPU`, `NATIVE_EXTRACT_FAILED`, `NATIVE_CACHE_UNSAFE`, `NATIVE_PACK_CORRUPT`, `ENGINE_PLATFORM_UNSUPPORTED`
 */
export async function ensureNativeLibraries(options: NativeOptions): Promise<NativeLibraries> {
  const variant = chooseVariant(hostTarget(), options.features ?? cpuFeatures()).name;
  const gpu = options.gpu ?? false;
  const view = { variant, gpu, runtime: lacksRuntime(options.systemDirectories ?? systemDirectories) };
  const pack = options.packPath === undefined ? openEmbedded(embeddedPack) : await openPack(options.packPath);
  if (!pack) return { variant, gpu, directory: linkCheckoutLibraries(view), extracted: false };
  const files = filesOfView(pack, view);
  const name = `${pack.header.id}-${variant}${gpu ? "-gpu" : ""}${view.runtime ? "-runtime" : ""}`;
  const places = options.cacheDirectories?.map((place) => () => place) ?? [cacheDirectory, temporaryCacheDirectory];
  let failure: unknown;
  for (const [index, place] of places.entries()) {
    const directory = join(place(), "native", name);
    try {
      const extracted = await extract({ pack, files, directory, verify: options.verify ?? false });
      if (index > 0) options.log.warn("the cache directory cannot be written, using another", { path: directory });
      return { variant, gpu, directory, extracted };
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

/** The pack of this executable; its file is not touched before its body is needed. */
function openEmbedded(embedded: EmbeddedPack | undefined): Pack | undefined {
  return embedded && { header: embedded.header, body: async () => (await openPack(embedded.path)).body() };
}

/** What llama.cpp may see: it loads every kernel library that it finds beside itself. */
function filesOfView(pack: Pack, view: { variant: string; gpu: boolean; runtime: boolean }): PackedFile[] {
  const { files } = pack.header;
  if (view.gpu && !files.some((file) => file.role === "gpu")) throw noGpu();
  return files.filter(
    (file) =>
      file.role === "common" ||
      (file.role === "cpu" && file.variant === view.variant) ||
      (file.role === "gpu" && view.gpu) ||
      (file.role === "runtime" && view.runtime),
  );
}

/** The answer to gpuLayers > 0 where the build has only CPU kernels. */
export function noGpu(): BlfError {
  return new BlfError({
    code: "ENGINE_NO_GPU",
    message: "This build of llama.cpp has no GPU support on this platform",
    hint: "Set gpuLayers to 0, or serve the model with vLLM on the GPU.",
  });
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
    const temporary = join(directory, `.${file.name}.${process.pid}-${randomBytes(4).toString("hex")}`);
    try {
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
