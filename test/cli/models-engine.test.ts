import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gpuPackages } from "../../src/inference/llama/packs/gpu-packages.ts";
import { hostTarget } from "../../src/inference/llama/platform.ts";
import { tempDirectory } from "../helpers/temp-directory.ts";
import { served, standIn, tarball } from "../inference/registry-stand-in.ts";
import { hasEngines, installedEngine } from "./installed-engine.ts";
import { type CliResult, runCli } from "./run-cli.ts";

setDefaultTimeout(60_000);

type Document = Record<string, unknown>;
const documentOf = ({ stdout }: CliResult) => JSON.parse(stdout) as Document;
const failure = ({ code, stderr }: CliResult) => [code, /\[([A-Z_]+)\]/.exec(stderr)?.[1]];

let directory: ReturnType<typeof tempDirectory>;
beforeAll(() => {
  directory = tempDirectory();
});
afterAll(() => directory[Symbol.dispose]());

let homes = 0;
const emptyCache = () => ({ XDG_CACHE_HOME: join(directory.path, `cache-${homes++}`) });

describe("models engine", () => {
  test("refuses an engine that it does not know", async () => {
    const result = await runCli(["models", "engine", "install", "rocm"], { env: emptyCache() });
    expect(failure(result)).toEqual([2, "ENGINE_PACK_UNKNOWN"]);
    expect(result.stderr).toContain("Choose one of cuda, vulkan.");
  });

  test("has nothing to remove where nothing is installed", async () => {
    const result = await runCli(["models", "engine", "remove", "cuda"], { env: emptyCache() });
    expect(failure(result)).toEqual([2, "ENGINE_PACK_NOT_INSTALLED"]);
  });

  test("lists what could be installed", async () => {
    const document = documentOf(await runCli(["models", "engine", "list", "--json"], { env: emptyCache() }));
    const engines = (document["engines"] as Document[]).map(({ engine, status, used }) => [engine, status, used]);
    const known = (["cuda", "vulkan"] as const).filter((engine) => gpuPackages(engine, hostTarget()).length > 0);
    expect(engines).toEqual(known.map((engine) => [engine, "available", false]));
  });

  test.skipIf(!hasEngines)(
    "installs nothing that a registry has changed, and asks it for the pinned version",
    async () => {
      const bytes = tarball([{ path: "package/package.json", content: "{}" }]);
      await using registry = standIn((request) => served(bytes, request));
      const env = { ...emptyCache(), BLF_NPM_REGISTRY_URL: registry.url };
      const result = await runCli(["models", "engine", "install", "vulkan"], { env });
      expect(failure(result)).toEqual([1, "ENGINE_PACK_INTEGRITY"]);
      const [wanted] = gpuPackages("vulkan", hostTarget());
      const base = wanted!.name.split("/")[1];
      expect(registry.paths).toEqual([`/${wanted!.name}/-/${base}-${wanted!.version}.tgz`]);
      const engines = join(env.XDG_CACHE_HOME, "blindference", "engines");
      expect(readdirSync(engines).filter((name) => !name.startsWith("."))).toEqual([]);
    },
  );

  test.skipIf(!hasEngines)("says where a registry that has no such package is configured", async () => {
    await using registry = standIn(() => new Response("no", { status: 404 }));
    const env = { ...emptyCache(), BLF_NPM_REGISTRY_URL: registry.url };
    const result = await runCli(["models", "engine", "install", "vulkan"], { env });
    expect(failure(result)).toEqual([1, "ENGINE_PACK_DOWNLOAD_NOT_FOUND"]);
    expect(result.stderr).toContain("npm_registry_url");
  });

  test("takes a registry over HTTPS only", async () => {
    const env = { ...emptyCache(), BLF_NPM_REGISTRY_URL: "http://registry.example" };
    expect(failure(await runCli(["models", "engine", "install", "vulkan"], { env }))[1]).toBe("CONFIG_INVALID");
  });

  test.skipIf(!hasEngines)("shows, keeps and removes one that is there", async () => {
    const env = installedEngine(directory.path, "vulkan");
    const run = async (...args: string[]) => documentOf(await runCli(["models", "engine", ...args, "--json"], { env }));
    const installed = await run("install", "vulkan");
    expect([installed["installed"], installed["release"], installed["bytes"]]).toEqual([false, "v1", 12]);
    const statuses = async () =>
      ((await run("list"))["engines"] as Document[]).map(({ engine, status, used }) => `${engine} ${status} ${used}`);
    expect(await statuses()).toEqual(["vulkan installed true", "cuda available false"]);
    writeFileSync(join(String(installed["directory"]), "libggml-vulkan.so"), "cut");
    expect(await statuses()).toEqual(["vulkan damaged true", "cuda available false"]);
    expect((await run("remove", "vulkan"))["removed"]).toEqual([installed["directory"]]);
    expect(await statuses()).toEqual(["cuda available false", "vulkan available false"]);
  });
});
