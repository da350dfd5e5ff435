import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { BunPlugin } from "bun";
import { openPack } from "../src/inference/llama/pack.ts";

/**
 * Replaces the module that says where the pack lies by one that has it in the executable, with a second pack for a GPU where one is
 * given.
 */
export function embedPack(packPath: string, options: { gpu?: string | undefined } = {}): BunPlugin {
  return {
    name: "embed-pack",
    setup: async (build) => {
      const contents = [
        await exported("embeddedPack", "native.pack", packPath),
        await exported("embeddedGpuPack", "native-gpu.pack", options.gpu),
      ].join("\n");
      build.onLoad({ filter: /[\\/]llama[\\/]embedded-pack\.ts$/ }, () => ({ loader: "js", contents }));
      build.onResolve({ filter: /^native\.pack$/ }, () => ({ path: packPath }));
      build.onResolve({ filter: /^native-gpu\.pack$/ }, () => ({ path: options.gpu! }));
    },
  };
}

async function exported(name: string, file: string, path: string | undefined): Promise<string> {
  if (path === undefined) return `export const ${name} = undefined;`;
  const { header } = await openPack(path);
  return `
    import ${name}Path from "${file}" with { type: "file" };
    export const ${name} = { path: ${name}Path, header: ${JSON.stringify(header)} };
  `;
}

/** What node-llama-cpp downloads models, clones llama.cpp and draws spinners with, and what it imports of each. */
const unusedByNodeLlamaCpp = {
  "simple-git": "export const simpleGit = refuse;",
  ipull: "export const downloadFile = refuse, downloadSequence = refuse, DownloadStatus = {};",
  ora: "export default refuse;",
};

/**
 * node-llama-cpp reads a file of its own package while it is imported, and brings along chat sessions and what searches for binaries
 * and compiles llama.cpp. The file becomes a constant; what the sources do not import goes, and so does the search.
 */
export function trimNodeLlamaCpp(root: string): BunPlugin {
  return {
    name: "trim-node-llama-cpp",
    setup: (build) => {
      const release: unknown = JSON.parse(
        readFileSync(join(root, "node_modules/node-llama-cpp/llama/binariesGithubRelease.json"), "utf8"),
      );
      const { release: name } = release as { release: string };
      build.onLoad({ filter: /node-llama-cpp[\\/]dist[\\/]bindings[\\/]utils[\\/]binariesGithubRelease\.js$/ }, () => ({
        loader: "js",
        contents: `
          export const builtinLlamaCppRelease = ${JSON.stringify(name)};
          export const defaultLlamaCppRelease = builtinLlamaCppRelease;
          export async function getBinariesGithubRelease() { return builtinLlamaCppRelease; }
          export async function setBinariesGithubRelease() {}
        `,
      }));
      build.onLoad({ filter: /node-llama-cpp[\\/]dist[\\/]index\.js$/ }, () => ({
        loader: "js",
        contents: `
          export { Llama } from "./bindings/Llama.js";
          export { LlamaLogLevel } from "./bindings/types.js";
          export { LlamaText, SpecialTokensText } from "./utils/LlamaText.js";
          export { TokenBias } from "./evaluator/TokenBias.js";
        `,
      }));
      for (const [name, exported] of Object.entries(unusedByNodeLlamaCpp)) {
        build.onResolve({ filter: new RegExp(`^${name}$`) }, ({ importer }) =>
          /[\\/]node-llama-cpp[\\/]/.test(importer) ? { path: name, namespace: "left-out" } : undefined,
        );
        build.onLoad({ filter: new RegExp(`^${name}$`), namespace: "left-out" }, () => ({
          loader: "js",
          contents: `const refuse = () => { throw new Error("${name} is not part of this build"); };\n${exported}`,
        }));
      }
      build.onLoad({ filter: /node-llama-cpp[\\/]dist[\\/]bindings[\\/]getLlama\.js$/ }, () => ({
        loader: "js",
        contents: `
          const refuse = () => { throw new Error("getLlama is not part of this build"); };
          export const getLlamaFunctionName = "getLlama";
          export const getLlama = async () => refuse();
          export const getLlamaForOptions = async () => refuse();
          export const defaultLlamaVramPadding = () => 0;
          export const defaultLlamaRamPadding = () => 0;
        `,
      }));
    },
  };
}

/**
 * node-tfhe loads its wasm from beside its source, by a path that Bun would fix at build time. Here it becomes part of the executable,
 * compressed to a fifth. It becomes an ES module too, of which the bundler can leave out the two hundred classes that nobody imports.
 * @param directory for the compressed wasm; its path below the root is part of the bytes that are built
 */
export function embedTfhe(directory: string): BunPlugin {
  return {
    name: "embed-tfhe",
    setup: (build) => {
      const compressed = join(directory, "tfhe_bg.wasm.zst");
      build.onResolve({ filter: /^tfhe_bg\.wasm\.zst$/ }, () => ({ path: compressed }));
      build.onLoad({ filter: /[\\/]node-tfhe[\\/]tfhe\.js$/ }, ({ path }) => {
        const wasm = readFileSync(join(dirname(path), "tfhe_bg.wasm"));
        const temporary = `${compressed}.${process.pid}`;
        writeFileSync(temporary, Bun.zstdCompressSync(wasm, { level: 19 }));
        renameSync(temporary, compressed);
        return { loader: "js", contents: tfheModule(readFileSync(path, "utf8")) };
      });
    },
  };
}

/** @throws Error when the source is not as it was when this was written */
function tfheModule(source: string): string {
  const changes: [RegExp, string][] = [
    [/^const wasmPath = .*$/m, `import wasmPath from "tfhe_bg.wasm.zst" with { type: "file" };`],
    [/^const wasmBytes = .*$/m, "const wasmBytes = Bun.zstdDecompressSync(readFileSync(wasmPath));"],
    [/^exports\.(\w+) = \1;$/gm, "export { $1 };"],
    [/^if \(Symbol\.dispose\) .*$/gm, ""],
    [/(?<== )Object\.freeze\(/g, "/* @__PURE__ */ Object.freeze("],
    [/: new FinalizationRegistry\(/g, ": /* @__PURE__ */ new FinalizationRegistry("],
  ];
  const changed = changes.reduce((text, [from, to]) => {
    if (text.search(from) < 0) throw new Error(`node-tfhe has changed: nothing in it is like ${from}`);
    return text.replace(from, to);
  }, source);
  return `import { readFileSync } from "node:fs";\n${changed}`;
}

/** Libraries that npm lays down several times in the same version, because others want another one at the top. */
const oftenInstalled = ["@noble/curves", "@noble/hashes"];

/** Lets all who import the same version of a library have the same copy of it. */
export function oneCopyPerVersion(root: string): BunPlugin {
  return {
    name: "one-copy-per-version",
    setup: (build) => {
      const copies = oftenInstalled.flatMap((name) => copiesOf(name, root));
      const firstOf = (copy: Copy) =>
        copies.find(({ name, version }) => name === copy.name && version === copy.version)!;
      for (const copy of copies) {
        const first = firstOf(copy);
        if (first === copy) continue;
        // A module that is asked for by `require` must stay what it is.
        const filter = new RegExp(`^${RegExp.escape(copy.directory)}/(?!node_modules/).*\\.js$`);
        build.onLoad({ filter }, ({ path }) => {
          const same = JSON.stringify(join(first.directory, path.slice(copy.directory.length)));
          return { loader: "js", contents: `export * from ${same};` };
        });
      }
    },
  };
}

type Copy = { name: string; version: string; directory: string };

function copiesOf(name: string, root: string): Copy[] {
  const found = [...new Bun.Glob(`node_modules/**/${name}/package.json`).scanSync({ cwd: root })].toSorted();
  return found.map((path) => {
    const { version } = JSON.parse(readFileSync(join(root, path), "utf8")) as { version: string };
    return { name, version, directory: join(root, dirname(path)) };
  });
}
