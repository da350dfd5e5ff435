import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadedFallback } from "../../src/inference/llama/loaded-fallback.ts";
import { ensureNativeLibraries } from "../../src/inference/llama/native.ts";
import { choosePack } from "../../src/inference/llama/packs/choose-pack.ts";
import { engineCommand } from "../../src/inference/llama/packs/engine-command.ts";
import { gpuTrouble } from "../../src/inference/llama/packs/gpu-trouble.ts";
import { installPack } from "../../src/inference/llama/packs/install.ts";
import { type InstalledPack, installedPacks } from "../../src/inference/llama/packs/pack-directory.ts";
import { removePacks } from "../../src/inference/llama/packs/remove.ts";
import { hostTarget } from "../../src/inference/llama/platform.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { failureOf, never, recordingLogger, temporaryDirectory } from "./fixture.ts";
import { enginePackage, pinned, served, standIn, tarball } from "./registry-stand-in.ts";

const good = tarball(enginePackage());

let directory: ReturnType<typeof temporaryDirectory>;
let cache: string;
beforeEach(() => {
  directory = temporaryDirectory();
  cache = join(directory.path, "cache");
  mkdirSync(cache);
});
afterEach(() => directory.remove());

const onLinux = process.platform === "linux" && process.arch === "x64";

describe("an installed engine", () => {
  const installGood = async (): Promise<InstalledPack> => {
    await using registry = standIn((request) => served(good, request));
    const { pack } = await installPack({
      engine: "cuda",
      target: "linux-x64",
      registryUrl: registry.url,
      fetch: globalThis.fetch,
      clock: systemClock,
      signal: never,
      packages: [pinned("linux-x64-cuda", good)],
      caches: [cache],
    });
    return pack;
  };
  const load = (gpuPacks: InstalledPack[], verify = false) =>
    ensureNativeLibraries({ log: recordingLogger().log, gpu: true, gpuPacks, verify, features: new Set() });

  test.skipIf(!onLinux)("shows llama.cpp the kernels of one processor only", async () => {
    const pack = await installGood();
    const { directory: view, engine } = await load([pack]);
    expect(engine).toBe("cuda");
    expect(readdirSync(view).toSorted()).toEqual(
      ["_nlcBuildMetadata.json", "libggml-cpu-x64.so", "libggml-cuda.so", "llama-addon.node"].toSorted(),
    );
    expect(readlinkSync(join(view, "libggml-cuda.so"))).toBe(join(pack.directory, "libggml-cuda.so"));
    expect((await Promise.all([load([pack]), load([pack]), load([pack])])).map((native) => native.directory)).toEqual([
      view,
      view,
      view,
    ]);
    expect(removePacks("cuda", [cache]).map(({ name }) => name)).toEqual([pack.name]);
    expect(existsSync(view)).toBe(false);
    expect(installedPacks([cache])).toEqual([]);
  });

  test.skipIf(!onLinux)("is not loaded when it is damaged or missing", async () => {
    const pack = await installGood();
    chmodSync(join(pack.directory, "libggml-cuda.so"), 0o700);
    writeFileSync(join(pack.directory, "libggml-cuda.so"), "KERNELS");
    expect((await failureOf(() => load([pack], true))).code).toBe("ENGINE_PACK_DAMAGED");
    writeFileSync(join(pack.directory, "libggml-cuda.so"), "shorter");
    writeFileSync(join(pack.directory, "libggml-cuda.so"), "cut");
    expect((await failureOf(() => load([pack]))).code).toBe("ENGINE_PACK_DAMAGED");
    const none = await failureOf(() => load([]));
    expect([none.code, none.hint]).toEqual([
      "ENGINE_NO_GPU",
      "Run `blindference models engine install cuda|vulkan`, or set gpu_layers of the model to 0.",
    ]);
  });

  test("is chosen by what the machine has", () => {
    const packOf = (engine: "cuda" | "vulkan") => ({ engine, target: hostTarget() }) as InstalledPack;
    const chosen = (packs: InstalledPack[], driver: boolean) => choosePack(hostTarget(), packs, () => driver)?.engine;
    expect(chosen([packOf("vulkan"), packOf("cuda")], true)).toBe("cuda");
    expect(chosen([packOf("vulkan"), packOf("cuda")], false)).toBe("vulkan");
    expect(chosen([packOf("cuda")], false)).toBe("cuda");
    expect(chosen([], true)).toBeUndefined();
  });

  test("says what is missing when no GPU is used", () => {
    const trouble = (engine: "cuda" | "vulkan", ...there: string[]) => {
      const { code, message, hint } = gpuTrouble(engine, (name) => there.includes(name));
      expect(code).toBe("ENGINE_NO_GPU");
      expect(hint).toContain("gpu_layers");
      return message;
    };
    expect(trouble("cuda")).toContain("libcuda.so.1");
    expect(trouble("cuda", "libcuda.so.1", "libcudart.so.12")).toContain("libcudart and libcublas");
    expect(trouble("cuda", "libcuda.so.1", "libcudart.so.12", "libcublas.so.12")).toContain("finds no GPU");
    expect(trouble("vulkan")).toContain("libvulkan.so.1");
    expect(trouble("vulkan", "libvulkan.so.1")).toContain("finds no GPU");
  });

  test("is named where a GPU has none", () => {
    const target = "linux-x64" as const;
    const command = (...kinds: string[]) => engineCommand(kinds, { target, hasEngine: false });
    expect(command("cuda")).toBe("blindference models engine install cuda");
    expect(command("vulkan", "cuda")).toBe("blindference models engine install cuda");
    expect(command("vulkan")).toBe("blindference models engine install vulkan");
    expect(command("metal")).toBeUndefined();
    expect(command()).toBeUndefined();
    expect(engineCommand(["cuda"], { target, hasEngine: true })).toBeUndefined();
    expect(engineCommand(["cuda"], { target: "linux-arm64", hasEngine: false })).toBeUndefined();
  });

  test("is told apart from the one for an older CUDA", () => {
    const line = (path: string) => `7f00-7f01 r-xp 00000000 08:01 42   ${path}\n`;
    expect(loadedFallback(line("/c/engines/x/fallback/libggml-cuda.so"))).toBe(true);
    expect(loadedFallback(line("/c/engines/x/libggml-cuda.so"))).toBe(false);
    expect(loadedFallback()).toBe(false);
  });
});
