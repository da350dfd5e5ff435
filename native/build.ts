import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { hostTarget, targets } from "../src/inference/llama/platform.ts";
import { packagesOf } from "./cross.ts";
import { cachedPack, packContent } from "./pack.ts";
import { type Platform, platformOf } from "./platforms.ts";
import { embedPack, embedTfhe, trimNodeLlamaCpp } from "./plugins.ts";

export type BuildOptions = {
  platform: Platform;
  /** Path of the executable. Its base name is part of its bytes. */
  out: string;
  /** Compiles in the switches with which tests make a node misbehave. */
  testFaults: boolean;
  /** The checkout. */
  root: string;
  print: (line: string) => void;
};

export type BuildResult = { out: string; bytes: number; sha256: string };

const largestSize = 130_000_000;

/** The second is started as a Worker, so it must be an entry of its own. */
const entries = ["src/main.ts", "src/cofhe/prover-worker.ts"];

/** Makes the one executable file. The same sources and packages give the same bytes, wherever they lie. */
export async function buildExecutable(options: BuildOptions): Promise<BuildResult> {
  const { platform, root, print } = options;
  const packages = packagesOf(platform, root);
  const runtime = join(packages, "node_modules", platform.runtimePackage, "bin", "bun");
  if (!existsSync(runtime)) throw new Error(`${platform.runtimePackage} is not installed: run \`bun install\``);
  const pack = cachedPack(packContent(platform, packages, print), join(root, "build", "packs"));
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  const staging = join(root, "build", "out", `${platform.target}-${process.pid}`);
  const staged = join(staging, basename(options.out));
  mkdirSync(staging, { recursive: true });
  try {
    const result = await Bun.build({
      root: join(root, "src"),
      entrypoints: entries.map((entry) => join(root, entry)).filter((path, index) => index === 0 || existsSync(path)),
      plugins: [embedPack(pack), trimNodeLlamaCpp(root), embedTfhe],
      external: ["@node-llama-cpp/*", "electron"],
      loader: { ".wasm": "file" },
      define: { BLF_TEST_BUILD: String(options.testFaults), BLF_VERSION: JSON.stringify(version) },
      minify: true,
      splitting: true,
      format: "esm",
      target: "bun",
      sourcemap: "none",
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
    });
    if (!result.success) throw new AggregateError(result.logs, "the sources do not bundle");
    chmodSync(staged, 0o755);
    const content = readFileSync(staged);
    if (content.length > largestSize) throw new Error(`${content.length} bytes are more than ${largestSize}`);
    mkdirSync(dirname(options.out), { recursive: true });
    renameSync(staged, options.out);
    const sha256 = createHash("sha256").update(content).digest("hex");
    return { out: options.out, bytes: content.length, sha256 };
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

/** `bun native/build.ts [--target linux-x64] [--out dist/blindference] [--test-faults]` */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { target: { type: "string" }, out: { type: "string" }, "test-faults": { type: "boolean" } },
  });
  const target = values.target ?? hostTarget();
  const platform = platformOf(target);
  if (!platform) {
    console.error(`unknown target ${target}: choose one of ${targets.join(", ")}`);
    process.exit(2);
  }
  const root = resolve(import.meta.dir, "..");
  const testFaults = values["test-faults"] ?? false;
  const suffix = platform.target === hostTarget() ? "" : `-${platform.target}`;
  const out = resolve(values.out ?? join(root, "dist", `blindference${testFaults ? "-test" : ""}${suffix}`));
  const started = performance.now();
  const result = await buildExecutable({ platform, out, testFaults, root, print: (line) => console.log(line) });
  console.log(
    `${result.out}: ${result.bytes} bytes for ${platform.target} in ${Math.round(performance.now() - started)} ms`,
  );
  console.log(`sha256 ${result.sha256}`);
}

if (import.meta.main) await main();
