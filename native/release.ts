/**
 * Makes what is published: for each platform the executable and its SBOM, and SHA256SUMS of them all. Every executable is built twice, the
 * second time from a copy of the checkout in another directory, and must come out the same.
 *
 *   bun native/release.ts [--target linux-x64]... [--out dist/release]
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Target, targets } from "../src/inference/llama/platform.ts";
import { type BuildOptions, type BuildResult, buildExecutable } from "./build.ts";
import { packagesOf } from "./cross.ts";
import { committedScripts, installScriptsIn, unexpectedScripts } from "./install-scripts.ts";
import { linkTree } from "./link-tree.ts";
import { lockedHashes } from "./lockfile.ts";
import { platforms } from "./platforms.ts";
import { sbomOf } from "./sbom.ts";

export type ReleaseOptions = {
  targets: readonly Target[];
  /** The checkout. */
  root: string;
  /** Directory that is made anew. */
  out: string;
  print: (line: string) => void;
  /** Makes an executable; only a test has another one than `buildExecutable`. */
  build?: (options: BuildOptions) => Promise<BuildResult>;
};

/** @throws Error when a build is not reproducible, or a package wants to run scripts that nobody looked at */
export async function makeRelease(options: ReleaseOptions): Promise<string[]> {
  const { targets: wanted, root, out, print, build: makeExecutable = buildExecutable } = options;
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  const hashes = lockedHashes(root);
  checkScripts(root, root);
  for (const target of wanted) checkScripts(packagesOf(platforms[target], root), root);
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const elsewhere = copyOfCheckout(root, wanted);
  try {
    const files: string[] = [];
    for (const target of wanted) {
      const platform = platforms[target];
      const started = performance.now();
      const say = (line: string) => print(`${target}: ${line}`);
      // The base name of the file is part of its bytes, and people call it by this one.
      const [file, copy] = [join(out, target, "blindference"), join(elsewhere, "dist", "blindference")];
      const build = await makeExecutable({ platform, testFaults: false, print: say, root, out: file });
      const again = await makeExecutable({ platform, testFaults: false, print: () => {}, root: elsewhere, out: copy });
      assertSame(build, again, target);
      const sbom = `${target}/blindference.cdx.json`;
      const document = sbomOf({ version, platform, build, file: `${target}/blindference`, hashes });
      writeFileSync(join(out, sbom), `${JSON.stringify(document, null, 2)}\n`);
      files.push(`${target}/blindference`, sbom);
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      say(`${build.bytes} bytes, ${build.packages.length} packages, twice the same in ${seconds} s`);
    }
    writeFileSync(join(out, "SHA256SUMS"), files.map((file) => `${sha256(join(out, file))}  ${file}\n`).join(""));
    const scripts = Object.keys(committedScripts()).join(", ") || "none";
    print(`packages with install scripts, none of which was run: ${scripts}`);
    return files;
  } finally {
    rmSync(elsewhere, { recursive: true, force: true });
  }
}

/** What a build reads, in another place. No symbolic links: the bundler would go by where they lead. */
function copyOfCheckout(root: string, wanted: readonly Target[]): string {
  const copy = mkdtempSync(join(tmpdir(), "blindference-release-"));
  const cross = wanted.map((target) => join("build", "cross", target));
  for (const name of ["src", "native", "package.json", "bun.lock", "tsconfig.json", "node_modules", ...cross])
    if (existsSync(join(root, name))) linkTree(join(root, name), join(copy, name));
  return copy;
}

function checkScripts(packages: string, root: string): void {
  const lock = readFileSync(join(root, "bun.lock"), "utf8");
  const unexpected = unexpectedScripts(installScriptsIn(packages), committedScripts(), lock);
  if (unexpected.length > 0) throw new Error(unexpected.join("\n"));
}

function assertSame(first: BuildResult, second: BuildResult, target: Target): void {
  if (first.sha256 === second.sha256) return;
  throw new Error(`${target}: two builds differ: ${first.sha256} and ${second.sha256}`);
}

function sha256(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { target: { type: "string", multiple: true }, out: { type: "string" } } });
  const root = resolve(import.meta.dir, "..");
  const wanted = values.target?.map((name) => {
    const target = targets.find((known) => known === name);
    if (!target) throw new Error(`unknown target ${name}: choose one of ${targets.join(", ")}`);
    return target;
  });
  await makeRelease({
    targets: wanted ?? targets,
    root,
    out: resolve(values.out ?? join(root, "dist", "release")),
    print: (line) => console.log(line),
  });
}

if (import.meta.main) await main();
