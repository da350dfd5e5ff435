import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createPack } from "../../../native/pack.ts";
import { cacheDirectory } from "../../../src/inference/llama/cache-directory.ts";
import { ensureNativeLibraries, type NativeOptions } from "../../../src/inference/llama/native.ts";
import {
  chooseVariant,
  cpuVariants,
  fileRole,
  hostTarget,
  parseCpuInfo,
} from "../../../src/inference/llama/platform.ts";
import { failureOf, recordingLogger, temporaryDirectory } from "../fixture.ts";

const target = hostTarget();
const variant = cpuVariants[target].at(-1)!.name;

describe("native libraries", () => {
  let directory: ReturnType<typeof temporaryDirectory>;
  let packPath: string;
  const content = { "addon.node": "addon".repeat(5000), "libcommon.so": "common", "libkernels.so": "kernels" };

  const extract = (options: Partial<NativeOptions> & { cacheDirectories: string[] }) =>
    ensureNativeLibraries({
      log: recordingLogger().log,
      packPath,
      features: new Set(),
      systemDirectories: [place("system")],
      ...options,
    });
  const place = (name: string) => join(directory.path, name);

  beforeAll(() => {
    directory = temporaryDirectory();
    const bytes = (text: string) => new TextEncoder().encode(text);
    const pack = createPack({
      target,
      release: "v1",
      files: [
        { name: "addon.node", bytes: bytes(content["addon.node"]), role: "common" },
        { name: "libcommon.so", bytes: bytes(content["libcommon.so"]), role: "common" },
        { name: "libkernels.so", bytes: bytes(content["libkernels.so"]), role: "cpu", variant },
        { name: "libother.so", bytes: bytes("other kernels"), role: "cpu", variant: "other" },
        { name: "libstdc++.so.6", bytes: bytes("the pack's own runtime"), role: "runtime" },
      ],
    });
    packPath = directory.file("test.pack", pack);
    mkdirSync(place("system"));
    for (const name of ["libstdc++.so.6", "libgcc_s.so.1"]) writeFileSync(join(place("system"), name), "");
  });
  afterAll(() => directory.remove());

  const filesIn = (path: string) =>
    Object.fromEntries(readdirSync(path).map((name) => [name, readFileSync(join(path, name), "utf8")]));

  test("are written once, with the kernels of one variant only", async () => {
    const first = await extract({ cacheDirectories: [place("once")] });
    expect(first.extracted).toBe(true);
    expect(first.variant).toBe(variant);
    expect(filesIn(first.directory)).toEqual(content);
    const second = await extract({ cacheDirectories: [place("once")] });
    expect(second).toEqual({ ...first, extracted: false });
  });

  test("come with a C++ runtime only where the system has none", async () => {
    mkdirSync(place("bare"));
    const bare = await extract({ cacheDirectories: [place("runtime")], systemDirectories: [place("bare")] });
    expect(filesIn(bare.directory)).toEqual({ ...content, "libstdc++.so.6": "the pack's own runtime" });
    const usual = await extract({ cacheDirectories: [place("runtime")] });
    expect(filesIn(usual.directory)).toEqual(content);
  });

  test("may be written by many at the same time", async () => {
    const cacheDirectories = [place("race")];
    const results = await Promise.all(Array.from({ length: 8 }, () => extract({ cacheDirectories })));
    expect(new Set(results.map((result) => result.directory)).size).toBe(1);
    expect(filesIn(results[0]!.directory)).toEqual(content);
  });

  test("are healed when a file was cut off, is missing or, on request, has other content", async () => {
    const cacheDirectories = [place("heal")];
    const { directory: path } = await extract({ cacheDirectories });
    const damage = (name: string, change: (file: string) => void) => {
      chmodSync(join(path, name), 0o700);
      change(join(path, name));
    };
    damage("addon.node", (file) => truncateSync(file, 100));
    expect((await extract({ cacheDirectories })).extracted).toBe(true);
    expect(filesIn(path)).toEqual(content);
    damage("libcommon.so", (file) => writeFileSync(file, "COMMON"));
    expect((await extract({ cacheDirectories })).extracted).toBe(false);
    expect((await extract({ cacheDirectories, verify: true })).extracted).toBe(true);
    expect(filesIn(path)).toEqual(content);
  });

  test("go to another place, with a word in the log, where the first cannot be written", async () => {
    const { log, entries } = recordingLogger();
    const blocked = directory.file("a-file", "in the way");
    const result = await extract({ cacheDirectories: [blocked, place("second")], log });
    expect(result.directory).toStartWith(place("second"));
    expect(entries.map(({ level, path }) => [level, path])).toEqual([["warn", result.directory]]);
  });

  test("that cannot be written anywhere are a clear error", async () => {
    const blocked = directory.file("b-file", "in the way");
    const error = await failureOf(() => extract({ cacheDirectories: [blocked, join(blocked, "deeper")] }));
    expect(error.code).toBe("NATIVE_EXTRACT_FAILED");
    expect(error.hint).toContain("XDG_CACHE_HOME");
  });

  test("are not taken from where others can write", async () => {
    const { directory: path } = await extract({ cacheDirectories: [place("shared")] });
    chmodSync(path, 0o777);
    const error = await failureOf(() => extract({ cacheDirectories: [place("shared")] }));
    expect(error.code).toBe("NATIVE_CACHE_UNSAFE");
  });

  test("for a GPU are asked for in vain where there are none", async () => {
    const error = await failureOf(() => extract({ cacheDirectories: [place("gpu")], gpu: true }));
    expect(error.code).toBe("ENGINE_NO_GPU");
  });

  test("of a checkout are linked from its packages", async () => {
    const { directory: path, extracted } = await ensureNativeLibraries({ log: recordingLogger().log });
    expect(extracted).toBe(false);
    const kernels = readdirSync(path).filter((name) => name.startsWith("libggml-cpu-"));
    expect(kernels).toHaveLength(1);
    expect(readdirSync(path)).toContain("llama-addon.node");
  });
});

describe("cache directory", () => {
  test("follows XDG_CACHE_HOME only if it is absolute", () => {
    expect(cacheDirectory({ XDG_CACHE_HOME: "/x", HOME: "/home/u" })).toBe("/x/blindference");
    expect(cacheDirectory({ XDG_CACHE_HOME: "x", HOME: "/home/u" })).toBe("/home/u/.cache/blindference");
    expect(cacheDirectory({ HOME: "/home/u" })).toBe("/home/u/.cache/blindference");
  });
});

describe("CPU variant", () => {
  test("needs all its features", () => {
    const haswell = ["avx2", "fma", "f16c", "bmi2"];
    expect(chooseVariant("linux-x64", new Set([...haswell, "avx512f"])).name).toBe("haswell");
    for (const missing of haswell)
      expect(chooseVariant("linux-x64", new Set(haswell.filter((name) => name !== missing))).name).toBe("x64");
    expect(chooseVariant("linux-arm64", new Set(["asimddp", "asimdhp"])).name).toBe("armv8.2_2");
    expect(chooseVariant("linux-arm64", new Set(["asimddp"])).name).toBe("armv8.0_1");
    expect(chooseVariant("darwin-arm64", new Set()).name).toBe("apple_m1");
  });

  test("counts only features that every core has", () => {
    expect([...parseCpuInfo("flags\t\t: a b c\nother: z\n\nflags\t\t: b c d\n")]).toEqual(["b", "c"]);
    expect([...parseCpuInfo("Features\t: fp asimd\n")]).toEqual(["fp", "asimd"]);
    expect(parseCpuInfo("").size).toBe(0);
  });

  test("decides which files are of use", () => {
    const roles = (names: string[]) => names.map((name) => fileRole(name, "darwin-arm64").kind);
    expect(
      roles([
        "libggml-cpu-apple_m1.so",
        "libggml-cpu-apple_m4.so",
        "libggml-blas.so",
        "libggml-metal.so",
        "libggml-base.dylib",
      ]),
    ).toEqual(["cpu", "unused", "unused", "gpu", "common"]);
  });
});
