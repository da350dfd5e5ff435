import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Llama } from "node-llama-cpp";
import { BlfError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { loadedFallback } from "./loaded-fallback.ts";
import { ensureNativeLibraries, type NativeLibraries } from "./native.ts";
import { gpuTrouble } from "./packs/gpu-trouble.ts";
import { hostTarget } from "./platform.ts";

/** llama.cpp, loaded into this process. */
export type LlamaLibrary = {
  llama: Llama;
  release: string;
  /** How the determinism class names what computes. */
  device: string;
  /** Why there is no GPU though one was asked for. Models then run on the CPU, as long as they ask for no layers on the GPU. */
  gpuFailure?: BlfError;
};

export type LibraryOptions = {
  threads: number;
  gpu: boolean;
  log: Logger;
  /** llama.cpp prints its warnings and errors itself: what it says just before it aborts would not reach `log` any more. */
  printsItself?: boolean | undefined;
};

type BuildMetadata = { buildOptions: { gpu: string | false; llamaCpp: { release: string } } };

type Bindings = {
  loadBackends(path?: string): void;
  setEnv(name: string, value: string | undefined): void;
  /** Without a logger it prints. */
  setLogger(logger?: (level: number, message: string) => void): void;
};

/** The part of node-llama-cpp that opens a library at a given place; its public way searches node_modules and may compile. */
type LlamaFactory = { _create(options: Record<string, unknown>): Promise<Llama> };

/**
 * Loads llama.cpp with the kernels of one CPU variant, and those for a GPU if they are asked for. Without a GPU that can be used it is
 * loaded for the CPU, and `gpuFailure` says why: models that need no GPU go on working.
 * @throws BlfError `ENGINE_LOAD_FAILED`, `NATIVE_*`
 */
export async function openLlamaLibrary(options: LibraryOptions): Promise<LlamaLibrary> {
  if (!options.gpu) return open(options);
  try {
    return await open(options);
  } catch (error) {
    if (!isGpuFailure(error)) throw error;
    return guarded(await open({ ...options, gpu: false }), error);
  }
}

const gpuFailures = ["ENGINE_NO_GPU", "ENGINE_PACK_DAMAGED"];

function isGpuFailure(error: unknown): error is BlfError {
  return error instanceof BlfError && gpuFailures.includes(error.code);
}

/** Files that do not load are compared with their hashes and written again once. */
async function open(options: LibraryOptions): Promise<LlamaLibrary> {
  const native = await ensureNativeLibraries(options);
  try {
    return await load(native, options);
  } catch (error) {
    const repaired = await ensureNativeLibraries({ ...options, verify: true });
    if (repaired.extracted) return load(repaired, options);
    if (error instanceof BlfError) throw error;
    // Vulkan's loader is needed to open the library at all; CUDA's driver only by the kernels.
    if (native.engine) throw gpuTrouble(native.engine);
    throw new BlfError({
      code: "ENGINE_LOAD_FAILED",
      message: "llama.cpp's libraries cannot be loaded",
      hint: `Check that ${native.directory} is not on a file system mounted with noexec; XDG_CACHE_HOME moves it.`,
      cause: error,
    });
  }
}

/** A model that was to use a GPU must not run on the CPU unnoticed: it would answer with another class. */
function guarded(library: LlamaLibrary, gpuFailure: BlfError): LlamaLibrary {
  const { llama } = library;
  const loadModel = llama.loadModel.bind(llama);
  llama.loadModel = async (options) => {
    if (options.gpuLayers !== 0) throw gpuFailure;
    return loadModel(options);
  };
  return { ...library, gpuFailure };
}

async function load(native: NativeLibraries, { threads, log, printsItself }: LibraryOptions): Promise<LlamaLibrary> {
  const { Llama, LlamaLogLevel } = await import("node-llama-cpp");
  const bindingPath = join(native.directory, "llama-addon.node");
  const module: { exports: Partial<Bindings> } = { exports: {} };
  process.dlopen(module, bindingPath);
  const bindings = module.exports as Bindings;
  // llama.cpp would load one more library from where this points, past everything that is pinned here.
  bindings.setEnv("GGML_BACKEND_PATH", undefined);
  const metadata = JSON.parse(readFileSync(join(native.directory, "_nlcBuildMetadata.json"), "utf8")) as BuildMetadata;
  if (!native.gpu) metadata.buildOptions.gpu = false;
  const llama = await (Llama as unknown as LlamaFactory)._create({
    bindings,
    bindingPath,
    buildType: "prebuilt",
    buildMetadata: metadata,
    logLevel: LlamaLogLevel.warn,
    logger: (_level: unknown, message: string) => log.debug("llama.cpp", { reason: message.trim() }),
    maxThreads: threads,
    vramPadding: 0,
    ramPadding: 0,
    debug: false,
    numa: false,
    tempDir: false,
  });
  if (printsItself) bindings.setLogger();
  const { release } = metadata.buildOptions.llamaCpp;
  const cpu = `cpu:${native.variant}@${hostTarget()}`;
  if (!native.gpu) return { llama, release, device: cpu };
  // The kernels for the CPU are the same in every package, so this is what another process with the CPU's package would be.
  if (llama.gpu === false) return guarded({ llama, release, device: cpu }, gpuTrouble(native.engine));
  const names = (await llama.getGpuDeviceNames()).join("+").replaceAll(/[\s/]+/g, "-");
  return { llama, release, device: `gpu:${llama.gpu}${loadedFallback() ? "-ext" : ""}:${names}` };
}
