import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Llama } from "node-llama-cpp";
import { BlfError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { ensureNativeLibraries, type NativeLibraries, noGpu } from "./native.ts";
import { hostTarget } from "./platform.ts";

/** llama.cpp, loaded into this process. */
export type LlamaLibrary = {
  llama: Llama;
  release: string;
  /** How the determinism class names what computes. */
  device: string;
};

export type LibraryOptions = { threads: number; gpu: boolean; log: Logger };

type BuildMetadata = { buildOptions: { gpu: string | false; llamaCpp: { release: string } } };

type Bindings = { loadBackends(path?: string): void; setEnv(name: string, value: string | undefined): void };

/** The part of node-llama-cpp that opens a library at a given place; its public way searches node_modules and may compile. */
type LlamaFactory = { _create(options: Record<string, unknown>): Promise<Llama> };

/**
 * Loads llama.cpp with the kernels of one CPU variant. Files that do not load are compared with their hashes and written again once.
 * @throws BlfError `ENGINE_LOAD_FAILED`, `ENGINE_NO_GPU`, `NATIVE_*`
 */
export async function openLlamaLibrary(options: LibraryOptions): Promise<LlamaLibrary> {
  const native = await ensureNativeLibraries(options);
  try {
    return await load(native, options);
  } catch (error) {
    const repaired = await ensureNativeLibraries({ ...options, verify: true });
    if (repaired.extracted) return load(repaired, options);
    if (error instanceof BlfError) throw error;
    throw new BlfError({
      code: "ENGINE_LOAD_FAILED",
      message: "llama.cpp's libraries cannot be loaded",
      hint: `Check that ${native.directory} is not on a file system mounted with noexec; XDG_CACHE_HOME moves it.`,
      cause: error,
    });
  }
}

async function load(native: NativeLibraries, { threads, log }: LibraryOptions): Promise<LlamaLibrary> {
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
  if (native.gpu && llama.gpu === false) throw noGpu();
  const device = native.gpu
    ? `gpu:${(await llama.getGpuDeviceNames()).join("+").replaceAll(/[\s/]+/g, "-")}`
    : `cpu:${native.variant}@${hostTarget()}`;
  return { llama, release: metadata.buildOptions.llamaCpp.release, device };
}
