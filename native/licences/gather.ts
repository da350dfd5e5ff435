import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { BuildConfig } from "bun";
import type { GpuPackage } from "../../src/inference/llama/packs/gpu-packages.ts";
import type { LicencePart, Licences } from "../../src/licences/licences.ts";
import { gccLicence, type NativePart, nativeParts } from "./parts.ts";

/** A package of npm in the executable. */
export type BundledPackage = {
  name: string;
  version: string;
  /** SPDX expression, as its package.json has it. */
  licence: string;
  author: string | undefined;
  /** Where it is installed. */
  directory: string;
};

export type GatherOptions = {
  /** The checkout. */
  root: string;
  /** What is bundled, with everything that decides what gets in. */
  bundle: BuildConfig;
  /** Where the platform's packages are installed, and their names. */
  packages: string;
  runtimePackage: string;
  llamaPackage: string;
  /** Release of llama.cpp in the pack. */
  llamaRelease: string;
  /** Names of the compiler's libraries in the pack. */
  systemLibraries: readonly string[];
  /** Packages of libraries for a GPU. */
  gpuPackages: readonly GpuPackage[];
};

export type Gathered = { licences: Licences; packages: BundledPackage[] };

/**
 * The licences of all that a build takes in: bundles the sources once to see which packages there are, and adds what comes as binaries.
 * @throws Error for a part without a licence, or without a text for it
 */
export async function gatherLicences(options: GatherOptions): Promise<Gathered> {
  const { root, packages } = options;
  const sources = await bundledPackages(options.bundle);
  const platform = [options.runtimePackage, options.llamaPackage].map((name) =>
    packageAt(join(packages, "node_modules", name)),
  );
  const contracts = ["@openzeppelin/contracts", "@fhenixprotocol/cofhe-contracts"].map((name) =>
    packageAt(join(root, "node_modules", name)),
  );
  const all = [...sources, ...platform, ...contracts].sort(byName);
  const texts = new Map<string, number>();
  const indexOf = (text: string) => {
    if (!texts.has(text)) texts.set(text, texts.size);
    return texts.get(text)!;
  };
  const versions = { bun: platform[0]!.version, "llama.cpp": options.llamaRelease };
  const parts: LicencePart[] = all.map((found) => ({
    name: found.name,
    version: found.version,
    licence: found.licence,
    texts: textsOfPackage(found).map(indexOf),
  }));
  for (const part of nativeParts)
    parts.push({
      name: part.name,
      version: versions[part.of],
      of: part.of === "bun" ? "Bun" : "llama.cpp",
      licence: part.licence,
      texts: textsOfPart(part).map(indexOf),
    });
  for (const name of options.systemLibraries)
    parts.push({ name, version: "", licence: gccLicence.licence, texts: gccLicence.texts.map(readText).map(indexOf) });
  for (const { name, version } of options.gpuPackages)
    parts.push({
      name,
      version,
      licence: name.includes("cuda") ? "MIT AND LicenseRef-NVIDIA-CUDA-Toolkit" : "MIT",
      texts: [...(name.includes("cuda") ? [cudaNotice] : []), ...textsOfPackage(platform[1]!)].map(indexOf),
    });
  return { licences: { parts: parts.sort(byName), texts: [...texts.keys()] }, packages: all };
}

const cudaNotice = `These libraries hold parts of NVIDIA's CUDA Toolkit, whose licence lets programs carry them along:
https://docs.nvidia.com/cuda/eula/index.html`;

/** The packages of which something is in the bundle, each version once. */
async function bundledPackages(bundle: BuildConfig): Promise<BundledPackage[]> {
  const { success, logs, metafile } = await Bun.build({ ...bundle, metafile: true });
  if (!success || !metafile) throw new AggregateError(logs, "the sources do not bundle");
  const directories = new Set<string>();
  for (const { inputs } of Object.values(metafile.outputs))
    for (const path of Object.keys(inputs)) {
      // Relative to where the build was started, if anything.
      const directory = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(resolve(path))?.[0];
      if (directory) directories.add(directory);
    }
  const found = new Map<string, BundledPackage>();
  for (const directory of directories) {
    const one = packageAt(directory);
    found.set(`${one.name}@${one.version}`, one);
  }
  return [...found.values()];
}

function packageAt(directory: string): BundledPackage {
  const manifest = JSON.parse(readFileSync(join(directory, "package.json"), "utf8")) as {
    name: string;
    version: string;
    license?: string;
    author?: string | { name?: string };
  };
  const { name, version, license, author } = manifest;
  // These say it in their sources only.
  const licence = license ?? (name === "@fhenixprotocol/cofhe-contracts" ? "BSD-3-Clause-Clear" : undefined);
  if (!licence) throw new Error(`${name} does not say what its licence is`);
  return { name, version, licence, author: typeof author === "string" ? author : author?.name, directory };
}

/** What the package brings along, or the common text of its licence, which is said. */
function textsOfPackage({ name, licence, author, directory }: BundledPackage): string[] {
  const files = readdirSync(directory).filter((file) => /^(licen[cs]e|copying|notice)([.-].*)?$/i.test(file));
  const own = files.sort().map((file) => readFileSync(join(directory, file), "utf8"));
  // Some files only point to the texts.
  if (own.join("").length > 500) return own;
  const note = `${name} comes without the text of its licence, which its package.json names as ${licence}.`;
  const common = licence
    .split(/ (?:OR|AND) /)
    .map((id) =>
      readText(id.replace(/[()]/g, ""), author ? `Copyright (c) ${author}` : `Copyright (c) the authors of ${name}`),
    );
  return [[note, ...own].join("\n\n"), ...common];
}

function textsOfPart({ texts, copyright }: NativePart): string[] {
  return texts.map((file) => readText(file, copyright));
}

function readText(file: string, copyright?: unknown): string {
  const text = readFileSync(join(import.meta.dir, "texts", `${file}.txt`), "utf8");
  return typeof copyright === "string" ? text.replace("<copyright>", () => copyright) : text;
}

function byName(a: { name: string; version: string }, b: { name: string; version: string }): number {
  const [left, right] = [`${a.name.toLowerCase()} ${a.version}`, `${b.name.toLowerCase()} ${b.version}`];
  return left < right ? -1 : left > right ? 1 : 0;
}
