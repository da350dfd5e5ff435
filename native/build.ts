import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { openPack, type PackHeader } from "../src/inference/llama/pack.ts";
import { type GpuEngine, gpuEngines, gpuPackages } from "../src/inference/llama/packs/gpu-packages.ts";
import { hostTarget, targets } from "../src/inference/llama/platform.ts";
import { packagesOf } from "./cross.ts";
import { installEngine } from "./engines.ts";
import { inDirectory } from "./in-directory.ts";
import { embedLicences } from "./licences/embed.ts";
import { type Gathered, gatherLicences } from "./licences/gather.ts";
import { cachedPack, gpuPackContent, packContent } from "./pack.ts";
import { type Platform, platformOf } from "./platforms.ts";
import { embedPack, embedTfhe, oneCopyPerVersion, trimNodeLlamaCpp } from "./plugins.ts";

export type BuildOptions = {
  platform: Platform;
  /** Path of the executable. Its base name is part of its bytes. */
  out: string;
  /** Libraries for a GPU that go into the file, so that the machine need not download them. */
  engine?: GpuEngine | undefined;
  /** Compiles in the switches with which tests make a node misbehave. */
  testFaults: boolean;
  /** The checkout. */
  root: string;
  print: (line: string) => void;
};

export type BuildResult = Gathered & {
  out: string;
  bytes: number;
  sha256: string;
  /** What the executable has of llama.cpp. */
  pack: PackHeader;
};

const largestSize = 130_000_000;

/** The second is started as a Worker, so it must be an entry of its own. */
const entries = ["src/main.ts", "src/cofhe/prover-worker.ts"];

/** Makes the one executable file. The same sources and packages give the same bytes, wherever they lie. */
export async function buildExecutable(options: BuildOptions): Promise<BuildResult> {
  const { platform, root, print } = options;
  const packages = packagesOf(platform, root);
  const runtime = join(packages, "node_modules", platform.runtimePackage, "bin", "bun");
  if (!existsSync(runtime)) throw new Error(`${platform.runtimePackage} is not installed: run \`bun install\``);
  const packs = {
    cpu: cachedPack(packContent(platform, packages, print), join(root, "build", "packs")),
    gpu: options.engine && (await gpuPack(options, options.engine)),
  };
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  const staging = join(root, "build", "out", `${platform.target}-${process.pid}`);
  const staged = join(staging, basename(options.out));
  mkdirSync(staging, { recursive: true });
  try {
    const bundle = bundleConfig({ root, version, packs, testFaults: options.testFaults });
    const { header } = await openPack(packs.cpu);
    const gathered = await gatherLicences({
      root,
      bundle,
      packages,
      runtimePackage: platform.runtimePackage,
      llamaPackage: platform.llamaPackage,
      llamaRelease: header.release,
      systemLibraries: header.files.filter(({ role }) => role === "runtime").map(({ name }) => name),
      gpuPackages: options.engine ? gpuPackages(options.engine, platform.target) : [],
    });
    const config: Bun.BuildConfig = {
      ...bundle,
      plugins: [...(bundle.plugins ?? []), embedLicences(gathered.licences, join(root, "build", "packs"))],
      compile: {
        target: platform.bunTarget,
        executablePath: runtime,
        outfile: staged,
        autoloadDotenv: false,
        autoloadBunfig: false,
        autoloadTsconfig: false,
        // Plug-ins of users import packages by their package.json.
        autoloadPackageJson: true,
      },
    };
    const result = await inDirectory(root, () => Bun.build(config));
    if (!result.success) throw new AggregateError(result.logs, "the sources do not bundle");
    chmodSync(staged, 0o755);
    const content = readFileSync(staged);
    const most = largestSize + (packs.gpu ? statSync(packs.gpu).size : 0);
    if (content.length > most) throw new Error(`${content.length} bytes are more than ${most}`);
    mkdirSync(dirname(options.out), { recursive: true });
    renameSync(staged, options.out);
    const sha256 = createHash("sha256").update(content).digest("hex");
    return { out: options.out, bytes: content.length, sha256, pack: header, ...gathered };
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

export type BundleParts = {
  /** The checkout. */
  root: string;
  version: string;
  packs: { cpu: string; gpu: string | undefined };
  testFaults: boolean;
};

/** What goes into an executable and how, but for its licences and its runtime. */
export function bundleConfig({ root, version, packs, testFaults }: BundleParts): Bun.BuildConfig {
  return {
    root: join(root, "src"),
    entrypoints: entries.map((entry) => join(root, entry)).filter((path, index) => index === 0 || existsSync(path)),
    plugins: [
      embedPack(packs.cpu, { gpu: packs.gpu }),
      trimNodeLlamaCpp(root),
      embedTfhe(join(root, "build", "packs")),
      oneCopyPerVersion(root),
    ],
    external: ["@node-llama-cpp/*", "electron"],
    loader: { ".zst": "file" },
    define: { BLF_TEST_BUILD: String(testFaults), BLF_VERSION: JSON.stringify(version) },
    minify: true,
    splitting: true,
    format: "esm",
    target: "bun",
    sourcemap: "none",
  };
}

async function gpuPack({ platform, root, print }: BuildOptions, engine: GpuEngine): Promise<string> {
  const installed = await installEngine({ engine, target: platform.target, root, print });
  // Half a gigabyte at the highest level would take a quarter of an hour, for a tenth of the size.
  return cachedPack(gpuPackContent(platform, installed, print), join(root, "build", "packs"), { level: 9 });
}

/** `bun native/build.ts [--target linux-x64] [--out dist/blindference] [--engine cuda|vulkan] [--test-faults]` */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      target: { type: "string" },
      out: { type: "string" },
      engine: { type: "string" },
      "test-faults": { type: "boolean" },
    },
  });
  const target = values.target ?? hostTarget();
  const platform = platformOf(target);
  if (!platform) {
    console.error(`unknown target ${target}: choose one of ${targets.join(", ")}`);
    process.exit(2);
  }
  const engine = gpuEngines.find((known) => known === values.engine);
  if (values.engine !== undefined && !engine) {
    console.error(`unknown engine ${values.engine}: choose one of ${gpuEngines.join(", ")}`);
    process.exit(2);
  }
  const root = resolve(import.meta.dir, "..");
  const testFaults = values["test-faults"] ?? false;
  const suffix = [platform.target === hostTarget() ? "" : platform.target, engine ?? ""]
    .filter(Boolean)
    .map((part) => `-${part}`)
    .join("");
  const out = resolve(values.out ?? join(root, "dist", `blindference${testFaults ? "-test" : ""}${suffix}`));
  const started = performance.now();
  const result = await buildExecutable({ platform, out, engine, testFaults, root, print: (line) => console.log(line) });
  console.log(
    `${result.out}: ${result.bytes} bytes for ${platform.target} in ${Math.round(performance.now() - started)} ms`,
  );
  console.log(`sha256 ${result.sha256}`);
}

if (import.meta.main) await main();
