import { readFileSync } from "node:fs";
import { join } from "node:path";
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

/**
 * node-llama-cpp reads a file of its own package while it is imported, and brings along what searches for binaries and compiles
 * llama.cpp. The file becomes a constant; the search, which an executable has no use for, goes.
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

/** node-tfhe loads its wasm from beside its source, by a path that Bun would fix at build time. Here it becomes part of the executable. */
export const embedTfhe: BunPlugin = {
  name: "embed-tfhe",
  setup: (build) => {
    const line = "const wasmPath = `" + "$" + "{__dirname}/tfhe_bg.wasm`;";
    build.onLoad({ filter: /[\\/]node-tfhe[\\/]tfhe\.js$/ }, ({ path }) => {
      const source = readFileSync(path, "utf8");
      if (!source.includes(line)) throw new Error("node-tfhe has changed: the line that finds its wasm is not there");
      const embedded = `const embeddedWasm = require("./tfhe_bg.wasm"); const wasmPath = embeddedWasm.default ?? embeddedWasm;`;
      return { loader: "js", contents: source.replace(line, () => embedded) };
    });
  },
};
