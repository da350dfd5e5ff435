import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import type { BunPlugin } from "bun";
import { embedTfhe, oneCopyPerVersion, trimNodeLlamaCpp } from "../../native/plugins.ts";
import { tempDirectory } from "../helpers/temp-directory.ts";
import { root, writeFiles } from "./checkout.ts";

setDefaultTimeout(60_000);

const inModules = (path: string) => JSON.stringify(join(root, "node_modules", path));

describe("plug-ins of the bundler", () => {
  let directory: ReturnType<typeof tempDirectory>;
  beforeEach(() => {
    directory = tempDirectory();
  });
  afterEach(() => directory[Symbol.dispose]());

  /** Bundles a program, moves the result to where no package is, runs it there and gives what it printed as JSON. */
  async function run(source: string, plugins: BunPlugin[]) {
    writeFiles(directory.path, { "main.ts": source });
    const { outputs, metafile } = await Bun.build({
      entrypoints: [join(directory.path, "main.ts")],
      outdir: join(directory.path, "built"),
      target: "bun",
      external: ["@node-llama-cpp/*", "electron"],
      loader: { ".zst": "file" },
      metafile: true,
      // As the build does, but for the names.
      minify: { whitespace: true, syntax: true },
      plugins,
    });
    using elsewhere = tempDirectory();
    renameSync(join(directory.path, "built"), join(elsewhere.path, "built"));
    const built = join(elsewhere.path, "built");
    const child = Bun.spawn([process.execPath, join(built, "main.js")], {
      // Where the paths of what lies beside the program start from, unless it is compiled.
      cwd: built,
      stdout: "pipe",
      stderr: "pipe",
    });
    const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    if ((await child.exited) !== 0) throw new Error(stderr);
    const assets = Object.fromEntries(readdirSync(built).map((name) => [name, readFileSync(join(built, name))]));
    const inputs = Object.values(metafile!.outputs).flatMap((output) => Object.keys(output.inputs));
    return { result: JSON.parse(stdout) as unknown, outputs, inputs, assets };
  }

  describe("embedTfhe", () => {
    const packs = () => join(directory.path, "packs");
    beforeEach(() => mkdirSync(packs()));

    test("brings the wasm along, so that node-tfhe works where it is not installed", async () => {
      const { result, assets } = await run(
        `import { TfheConfigBuilder } from "${root}/node_modules/node-tfhe/tfhe.js";
         const config = TfheConfigBuilder.default().build();
         console.log(JSON.stringify(config.constructor.name.length > 0 && config.__wbg_ptr > 0));`,
        [embedTfhe(packs())],
      );
      expect(result).toBe(true);
      const [, packed] = Object.entries(assets).find(([name]) => name.endsWith(".zst"))!;
      const wasm = readFileSync(join(root, "node_modules", "node-tfhe", "tfhe_bg.wasm"));
      expect(Buffer.from(Bun.zstdDecompressSync(packed)).equals(wasm)).toBe(true);
      expect(packed.length).toBeLessThan(wasm.length / 4);
      const program = assets["main.js"]!.toString();
      expect([root, directory.path].filter((path) => program.includes(path))).toEqual([]);
    });

    test("leaves out the classes that nobody imports", async () => {
      const { assets } = await run(
        `import { TfheConfigBuilder } from "${root}/node_modules/node-tfhe/tfhe.js";
         console.log(JSON.stringify(TfheConfigBuilder.name));`,
        [embedTfhe(packs())],
      );
      const program = assets["main.js"]!.toString();
      expect(program).toMatch(/class TfheConfigBuilder\b/);
      expect(program).not.toMatch(/class FheUint2048\b/);
      expect(program.length).toBeLessThan(statSync(join(root, "node_modules", "node-tfhe", "tfhe.js")).size / 2);
    });

    test("fails when node-tfhe is no longer what it was written for", async () => {
      writeFiles(directory.path, {
        "node_modules/node-tfhe/tfhe.js": "export const somethingElse = 1;",
        "node_modules/node-tfhe/tfhe_bg.wasm": "wasm",
      });
      const built = run(`import { somethingElse } from "node-tfhe/tfhe.js"; console.log(somethingElse);`, [
        embedTfhe(packs()),
      ]);
      await expect(built).rejects.toThrow();
      const message = await built.catch((error: AggregateError) => String(error.errors?.[0] ?? error));
      expect(message).toContain("node-tfhe has changed");
    });
  });

  describe("trimNodeLlamaCpp", () => {
    test("makes the release a constant", async () => {
      const path = "node-llama-cpp/dist/bindings/utils/binariesGithubRelease.js";
      const { result } = await run(
        `import { builtinLlamaCppRelease, getBinariesGithubRelease } from ${inModules(path)};
         console.log(JSON.stringify([builtinLlamaCppRelease, await getBinariesGithubRelease()]));`,
        [trimNodeLlamaCpp(root)],
      );
      const file = join(root, "node_modules", "node-llama-cpp", "llama", "binariesGithubRelease.json");
      const { release } = JSON.parse(readFileSync(file, "utf8")) as { release: string };
      expect(result).toEqual([release, release]);
    });

    test("keeps what the sources import, and leaves out what downloads, clones, compiles and spins", async () => {
      const { result, inputs } = await run(
        `import { Llama, LlamaLogLevel, LlamaText, TokenBias } from ${inModules("node-llama-cpp/dist/index.js")};
         console.log(JSON.stringify([typeof Llama._create, LlamaLogLevel.error, typeof LlamaText, typeof TokenBias]));`,
        [trimNodeLlamaCpp(root)],
      );
      expect(result).toEqual(["function", "error", "function", "function"]);
      // Nothing stands for the search: what it consists of is not there.
      const gone =
        /node_modules\/(ora|ipull|simple-git)\/|compileLLamaCpp|testBindingBinary|detectAvailableComputeLayers/;
      expect(inputs.length).toBeGreaterThan(50);
      expect(inputs.filter((path) => gone.test(path))).toEqual([]);
    });

    test("what is left out says so when it is called", async () => {
      const { result } = await run(
        `import { getLlama } from ${inModules("node-llama-cpp/dist/bindings/getLlama.js")};
         console.log(JSON.stringify(await getLlama().catch((error) => error.message)));`,
        [trimNodeLlamaCpp(root)],
      );
      expect(result).toBe("getLlama is not part of this build");
    });
  });

  describe("oneCopyPerVersion", () => {
    test("gives all who import one version the same module, and others their own", async () => {
      const library = (version: string) => ({ name: "@noble/hashes", version, type: "module" });
      const user = (name: string) => ({
        [`node_modules/${name}/package.json`]: { name, version: "1.0.0", type: "module", main: "index.js" },
        [`node_modules/${name}/index.js`]: `export { identity } from "@noble/hashes/utils.js";`,
      });
      const copy = (place: string, version: string) => ({
        [`${place}node_modules/@noble/hashes/package.json`]: library(version),
        [`${place}node_modules/@noble/hashes/utils.js`]: `export const identity = {}; globalThis.copies = (globalThis.copies ?? 0) + 1;`,
      });
      writeFiles(directory.path, {
        ...copy("", "1.8.0"),
        ...user("a"),
        ...copy("node_modules/a/", "2.0.0"),
        ...user("b"),
        ...copy("node_modules/b/", "2.0.0"),
        ...user("c"),
        ...copy("node_modules/c/", "1.8.0"),
      });
      const program = `
        import { identity as top } from "@noble/hashes/utils.js";
        import { identity as a } from "a";
        import { identity as b } from "b";
        import { identity as c } from "c";
        console.log(JSON.stringify([a === b, c === top, a === top, globalThis.copies]));`;
      expect((await run(program, [oneCopyPerVersion(directory.path)])).result).toEqual([true, true, false, 2]);
      expect((await run(program, [])).result).toEqual([false, false, false, 4]);
    });
  });
});
