import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { enginePackagesText } from "../../native/engine-packages.ts";
import { gpuPackages } from "../../src/inference/llama/packs/gpu-packages.ts";
import { type InstallOptions, installPack } from "../../src/inference/llama/packs/install.ts";
import { damagedFiles, installedPacks } from "../../src/inference/llama/packs/pack-directory.ts";
import { removePacks } from "../../src/inference/llama/packs/remove.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { failureOf, never, temporaryDirectory } from "./fixture.ts";
import {
  enginePackage,
  pinned,
  rawStandIn,
  type StandIn,
  served,
  standIn,
  type TarEntry,
  tarball,
} from "./registry-stand-in.ts";

const good = tarball(enginePackage());
const goodPackage = pinned("linux-x64-cuda", good);

let directory: ReturnType<typeof temporaryDirectory>;
let cache: string;
beforeEach(() => {
  directory = temporaryDirectory();
  cache = join(directory.path, "cache");
  mkdirSync(cache);
});
afterEach(() => directory.remove());

const install = (registry: Pick<StandIn, "url">, options: Partial<InstallOptions> = {}) =>
  installPack({
    engine: "cuda",
    target: "linux-x64",
    registryUrl: registry.url,
    fetch: globalThis.fetch,
    // Waits between attempts are not what is tested here.
    clock: { ...systemClock, sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 5_000) / 100, signal) },
    signal: never,
    packages: [goodPackage],
    caches: [cache],
    idleMs: 60_000,
    ...options,
  });

/** Everything below the directory of packs that is no lock. */
const leftBehind = () =>
  existsSync(join(cache, "engines"))
    ? readdirSync(join(cache, "engines")).filter((name) => !name.endsWith(".lock"))
    : [];

describe("the packages for a GPU", () => {
  test("are pinned with what bun.lock says", () => {
    const read = (name: string) => readFileSync(new URL(`../../${name}`, import.meta.url), "utf8");
    const committed = read("src/inference/llama/packs/packages.json");
    expect(committed).toBe(enginePackagesText(read("bun.lock"), read("package.json")));
    expect(() =>
      enginePackagesText(read("bun.lock"), read("package.json").replace(/("node-llama-cpp": )"[^"]+"/, '$1"1.0.0"')),
    ).toThrow("version 1.0.0");
  });

  test("are those of the platform", () => {
    const names = (...parameters: Parameters<typeof gpuPackages>) => gpuPackages(...parameters).map(({ name }) => name);
    expect(names("cuda", "linux-x64")).toEqual([
      "@node-llama-cpp/linux-x64-cuda",
      "@node-llama-cpp/linux-x64-cuda-ext",
    ]);
    expect(names("vulkan", "linux-x64")).toEqual(["@node-llama-cpp/linux-x64-vulkan"]);
    expect(names("cuda", "darwin-arm64")).toEqual([]);
    expect(names("vulkan", "linux-arm64")).toEqual([]);
  });
});

describe("installing an engine", () => {
  test("leaves what is used of the packages, and nothing else", async () => {
    const more = tarball([{ path: "package/bins/linux-x64-cuda/fallback/libggml-cuda.so", content: "older kernels" }]);
    const morePackage = pinned("linux-x64-cuda-ext", more);
    await using registry = standIn((request) => served(request.url.includes("-ext") ? more : good, request));
    const seen: [string, number, number | undefined][] = [];
    const { pack, installed } = await install(registry, {
      packages: [goodPackage, morePackage],
      onProgress: (...progress) => seen.push(progress),
    });
    expect(installed).toBe(true);
    expect([pack.engine, pack.version, pack.release]).toEqual(["cuda", "1.2.3", "v9"]);
    expect(Object.fromEntries(pack.files.map(({ name, role }) => [name, role]))).toEqual({
      "_nlcBuildMetadata.json": "common",
      "llama-addon.node": "common",
      "libggml-cpu-haswell.so": "cpu",
      "libggml-cpu-x64.so": "cpu",
      "libggml-cuda.so": "gpu",
      "fallback/libggml-cuda.so": "gpu",
    });
    expect(readFileSync(join(pack.directory, "fallback/libggml-cuda.so"), "utf8")).toBe("older kernels");
    expect(leftBehind()).toEqual([pack.name]);
    // A request that got lost on its way is sent again: which packages are fetched is the point here.
    expect([...new Set(registry.paths)]).toEqual([
      "/@node-llama-cpp/linux-x64-cuda/-/linux-x64-cuda-1.2.3.tgz",
      "/@node-llama-cpp/linux-x64-cuda-ext/-/linux-x64-cuda-ext-1.2.3.tgz",
    ]);
    expect(seen.filter(([, received, total]) => received === total).map(([name]) => name)).toEqual([
      goodPackage.name,
      morePackage.name,
    ]);
  });

  test("asks the registry once, and puts a damaged one right", async () => {
    await using registry = standIn((request) => served(good, request));
    const { pack } = await install(registry);
    expect((await install(registry)).installed).toBe(false);
    expect(registry.paths).toHaveLength(1);
    const path = join(pack.directory, "libggml-cuda.so");
    chmodSync(path, 0o700);
    writeFileSync(path, "KERNELS");
    expect(damagedFiles(pack)).toEqual([]);
    expect(damagedFiles(pack, { content: true })).toEqual(["libggml-cuda.so"]);
    expect((await install(registry)).installed).toBe(true);
    expect(readFileSync(path, "utf8")).toBe("kernels");
    expect(leftBehind()).toEqual([pack.name]);
  });

  test("goes on where the line was cut", async () => {
    const half = Math.floor(good.length / 2);
    await using registry = await rawStandIn((range, attempt) => {
      const first = Number(/^bytes=(\d+)-$/.exec(range)?.[1] ?? "0");
      const status = range === "" ? "200 OK" : "206 Partial Content";
      const place = `Content-Range: bytes ${first}-${good.length - 1}/${good.length}`;
      return {
        head: [`HTTP/1.1 ${status}`, `Content-Length: ${good.length - first}`, ...(range === "" ? [] : [place])],
        body: attempt === 1 ? good.subarray(0, half) : good.subarray(first),
      };
    });
    await install(registry);
    // How much had arrived is the network's affair: from there on it is asked for.
    expect(registry.ranges).toEqual(["", expect.stringMatching(/^(bytes=\d+-)?$/)]);
    expect(leftBehind()).toHaveLength(1);
  });

  test("is refused with a length that is beyond reason", async () => {
    await using registry = await rawStandIn(() => ({
      head: ["HTTP/1.1 200 OK", "Content-Length: 9000000000"],
      body: new Uint8Array(10),
    }));
    expect((await failureOf(() => install(registry))).code).toBe("ENGINE_PACK_DOWNLOAD_SERVER_INVALID");
  });

  test("goes on where an earlier run was stopped", async () => {
    const half = Math.floor(good.length / 2);
    const stop = new AbortController();
    const pending = Promise.withResolvers<void>();
    await using registry = standIn((request) => {
      if (stop.signal.aborted) return served(good, request);
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(good.subarray(0, half));
          return pending.promise.then(() => controller.close());
        },
      });
      return new Response(body);
    });
    const stopped = install(registry, { signal: stop.signal, onProgress: () => stop.abort(new Error("stopped")) });
    await expect(stopped).rejects.toThrow("stopped");
    pending.resolve();
    expect(leftBehind()).toEqual([expect.stringMatching(/\.download$/)]);
    const downloads = join(cache, "engines", leftBehind()[0]!);
    const [part] = readdirSync(downloads).filter((file) => file.endsWith(".part"));
    const kept = statSync(join(downloads, part!)).size;
    expect(kept).toBeWithin(1, half + 1);
    const before = registry.ranges.length;
    await install(registry);
    expect(registry.ranges[before]).toBe(`bytes=${kept}-`);
    expect(leftBehind()).toEqual([expect.stringMatching(/^linux-x64-cuda-1\.2\.3-[0-9a-f]{12}$/)]);
  });

  test("starts from the beginning when what an earlier run left is something else", async () => {
    await using registry = standIn((request) => served(good, request));
    const name = (await install(registry)).pack.name;
    removePacks("cuda", [cache]);
    const downloads = join(cache, "engines", `.${name}.download`);
    mkdirSync(downloads);
    writeFileSync(join(downloads, "@node-llama-cpp__linux-x64-cuda.tgz.part"), "x".repeat(100));
    await install(registry);
    expect(registry.ranges).toEqual(["", "bytes=100-", ""]);
  });

  const refusals: [string, string, (request: Request) => Response | Promise<Response>][] = [
    ["another file", "ENGINE_PACK_INTEGRITY", (request) => served(tarball([{ path: "package/x" }]), request)],
    ["a file with one other byte", "ENGINE_PACK_INTEGRITY", (request) => served(flipped(good), request)],
    ["a file that ends early", "ENGINE_PACK_INTEGRITY", (request) => served(good.slice(0, 1000), request)],
    ["404", "ENGINE_PACK_DOWNLOAD_NOT_FOUND", () => new Response("no", { status: 404 })],
    ["401", "ENGINE_PACK_DOWNLOAD_UNAUTHORISED", () => new Response("no", { status: 401 })],
    ["500 for ever", "ENGINE_PACK_DOWNLOAD_UNREACHABLE", () => new Response("no", { status: 500 })],
    ["a web page", "ENGINE_PACK_INTEGRITY", () => new Response("<html>", { headers: { "Content-Type": "text/html" } })],
    [
      "a redirect to plain HTTP elsewhere",
      "ENGINE_PACK_DOWNLOAD_REDIRECT_REFUSED",
      () => Response.redirect("http://registry.example/x.tgz", 302),
    ],
    ["redirects for ever", "ENGINE_PACK_DOWNLOAD_REDIRECT_REFUSED", (request) => Response.redirect(request.url, 302)],
    [
      "part of a file that nobody asked for",
      "ENGINE_PACK_DOWNLOAD_UNREACHABLE",
      () => new Response("x", { status: 206, headers: { "Content-Range": "bytes 0-0/100" } }),
    ],
  ];
  test.each(refusals)("is refused with %s: %s", async (_name, code, answer) => {
    await using registry = standIn(answer);
    const error = await failureOf(() => install(registry));
    expect(error.code).toBe(code);
    expect(leftBehind().every((entry) => entry.endsWith(".download"))).toBe(true);
    expect(installedPacks([cache])).toEqual([]);
  });

  test("follows a redirect within the rules", async () => {
    await using registry = standIn((request) =>
      request.url.endsWith("?moved") ? served(good, request) : Response.redirect(`${request.url}?moved`, 302),
    );
    expect((await install(registry)).installed).toBe(true);
  });

  test("gives up on a registry that falls silent", async () => {
    const over = Promise.withResolvers<void>();
    await using registry = standIn(async () => {
      await over.promise;
      return new Response("late");
    });
    const error = await failureOf(() => install(registry, { idleMs: 2_000 }));
    expect([error.code, error.retryable]).toEqual(["ENGINE_PACK_DOWNLOAD_UNREACHABLE", true]);
    over.resolve();
  });

  const bad: [string, TarEntry[]][] = [
    ["a file outside of itself", enginePackage({ more: [{ path: "package/../../../evil", content: "x" }] })],
    ["an absolute path", enginePackage({ more: [{ path: "/tmp/evil", content: "x" }] })],
    ["a path that begins elsewhere", enginePackage({ more: [{ path: "elsewhere/evil", content: "x" }] })],
    ["a name with a newline", enginePackage({ more: [{ path: "package/bins/x/a\nb", content: "x" }] })],
    ["no addon", enginePackage({ without: "llama-addon.node" })],
    ["no kernels for the GPU", enginePackage({ without: "libggml-cuda.so" })],
    ["no kernels for a pinned processor", enginePackage({ without: "libggml-cpu-x64.so" })],
    ["no word on how it was built", enginePackage({ without: "_nlcBuildMetadata.json" })],
    ["kernels for another engine", enginePackage({ gpu: "vulkan" })],
  ];
  test.each(bad)("is refused with a package that has %s, though its hash is right", async (_name, entries) => {
    const bytes = tarball(entries);
    await using registry = standIn((request) => served(bytes, request));
    const error = await failureOf(() => install(registry, { packages: [pinned("linux-x64-cuda", bytes)] }));
    expect(error.code).toBe("ENGINE_PACK_INVALID");
    expect(installedPacks([cache])).toEqual([]);
    expect(existsSync("/tmp/evil")).toBe(false);
    expect(readdirSync(directory.path).toSorted()).toEqual(["cache"]);
  });

  test("makes no link that a package holds, and writes through none", async () => {
    const bins = "package/bins/linux-x64-cuda";
    const bytes = tarball([
      { path: `${bins}/libextra.so`, type: "2", target: join(directory.path, "victim") },
      { path: `${bins}/libhard.so`, type: "1", target: `${bins}/llama-addon.node` },
      ...enginePackage({ more: [{ path: `${bins}/libextra.so/x`, content: "through the link" }] }),
    ]);
    await using registry = standIn((request) => served(bytes, request));
    const { pack } = await install(registry, { packages: [pinned("linux-x64-cuda", bytes)] });
    expect(readdirSync(pack.directory)).not.toContain("libextra.so");
    expect(readdirSync(pack.directory)).not.toContain("libhard.so");
    expect(existsSync(join(directory.path, "victim"))).toBe(false);
  });

  test("is refused where llama.cpp has no such engine", async () => {
    const { packages: _, ...options } = { packages: undefined, target: "darwin-arm64" as const };
    const { code } = await failureOf(() =>
      installPack({
        ...options,
        engine: "cuda",
        registryUrl: "http://127.0.0.1:9",
        fetch: globalThis.fetch,
        clock: systemClock,
        signal: never,
        caches: [cache],
      }),
    );
    expect(code).toBe("ENGINE_PACK_UNSUPPORTED");
  });

  test("is refused where others can write", async () => {
    mkdirSync(join(cache, "engines"));
    chmodSync(join(cache, "engines"), 0o777);
    expect((await failureOf(() => install({ url: "http://127.0.0.1:9" }))).code).toBe("NATIVE_CACHE_UNSAFE");
  });
});

function flipped(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const copy = bytes.slice();
  copy[copy.length >> 1]! ^= 1;
  return copy;
}
