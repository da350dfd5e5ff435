import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { librariesOfPackage } from "../src/inference/llama/native-checkout.ts";
import { encodePack, type PackedFile, type PackHeader, packMagic } from "../src/inference/llama/pack.ts";
import type { InstalledPack } from "../src/inference/llama/packs/pack-directory.ts";
import { fileRole, type Target } from "../src/inference/llama/platform.ts";
import type { Platform } from "./platforms.ts";
import { findSystemLibrary, newestGlibc } from "./system-libraries.ts";

/** One file that goes into a pack. */
export type PackInput = { name: string; bytes: Uint8Array; role: PackedFile["role"]; variant?: string };

export type PackContent = { target: Target; release: string; files: PackInput[] };

export type PackOptions = {
  /** Of zstd. 19 takes seconds and saves two megabytes against 10. */
  level?: number;
};

/** Makes a pack; the same content gives the same bytes, in whatever order it comes. */
export function createPack({ target, release, files }: PackContent, { level = 19 }: PackOptions = {}): Uint8Array {
  const sorted = files.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  let offset = 0;
  const packed = sorted.map(({ name, bytes, role, variant }): PackedFile => {
    const start = offset;
    offset += bytes.length;
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    return { name, size: bytes.length, offset: start, sha256, role, ...(variant === undefined ? {} : { variant }) };
  });
  const header: PackHeader = { id: packId(packed), target, release, rawSize: offset, files: packed };
  const body = Buffer.concat(sorted.map(({ bytes }) => bytes));
  return encodePack(header, new Uint8Array(Bun.zstdCompressSync(body, { level })));
}

function packId(files: PackedFile[]): string {
  const lines = files.map(({ name, sha256 }) => `${name} ${sha256}`).join("\n");
  return createHash("sha256").update(lines).digest("hex").slice(0, 24);
}

/** Takes what a pack of a platform holds from the packages installed under `root`, and from this system if it is the same. */
export function packContent(platform: Platform, root: string, print: (line: string) => void): PackContent {
  const { target } = platform;
  const directory = librariesOfPackage(root, target);
  const files: PackInput[] = [];
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    const role = fileRole(name, target);
    if (role.kind === "unused" || !statSync(path).isFile()) continue;
    const variant = role.kind === "cpu" ? { variant: role.variant } : {};
    files.push({ name, bytes: readFileSync(path), role: role.kind, ...variant });
  }
  return withSystemFiles(platform, files, print);
}

/** Takes what a pack for a GPU holds from the directory of an engine that was installed, and from this system if it is the same. */
export function gpuPackContent(platform: Platform, pack: InstalledPack, print: (line: string) => void): PackContent {
  const files = pack.files.map(({ name, role, variant }): PackInput => {
    const bytes = readFileSync(join(pack.directory, name));
    return { name, bytes, role, ...(variant === undefined ? {} : { variant }) };
  });
  return withSystemFiles(platform, files, print);
}

function withSystemFiles(platform: Platform, libraries: PackInput[], print: (line: string) => void): PackContent {
  const { target } = platform;
  const metadata = libraries.find(({ name }) => name === "_nlcBuildMetadata.json");
  const { release } = (
    JSON.parse(new TextDecoder().decode(metadata?.bytes)) as { buildOptions: { llamaCpp: { release: string } } }
  ).buildOptions.llamaCpp;
  const files = [...libraries, ...systemFiles(platform, print)];
  const always = files.filter((file) => file.role !== "runtime");
  const glibc = platform.os === "linux" ? newestGlibc(always.map((file) => file.bytes)) : undefined;
  if (glibc !== undefined) print(`native libraries need glibc ${glibc} or newer`);
  return { target, release, files };
}

/** llama.cpp's libraries find these beside themselves, so that the target needs nothing but glibc. */
function systemFiles(platform: Platform, print: (line: string) => void): PackInput[] {
  const isOwn = platform.os === process.platform && platform.cpu === process.arch;
  const paths = platform.systemLibraries.map((name) => [name, isOwn && findSystemLibrary(name, platform.cpu)] as const);
  const missing = paths.filter(([, path]) => !path).map(([name]) => name);
  if (missing.length > 0) print(`${missing.join(" and ")} not in the pack: the target's own will be used`);
  return paths.flatMap(([name, path]) => (path ? [{ name, bytes: readFileSync(path), role: "runtime" as const }] : []));
}

/** The path of a pack under `directory`; it is only compressed if none of the same content is there. */
export function cachedPack(content: PackContent, directory: string, options: PackOptions = {}): string {
  const hash = createHash("sha256").update(`${packMagic} ${Bun.version} ${options.level ?? 19} ${content.release}`);
  for (const { name, bytes, role, variant } of content.files.toSorted((a, b) => (a.name < b.name ? -1 : 1)))
    hash.update(`\n${name} ${role} ${variant} ${bytes.length}\n`).update(bytes);
  const path = join(directory, `${content.target}-${hash.digest("hex").slice(0, 24)}.pack`);
  if (existsSync(path)) return path;
  mkdirSync(directory, { recursive: true });
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, createPack(content, options));
  renameSync(temporary, path);
  return path;
}
