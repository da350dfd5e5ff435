/**
 * Writes down which npm packages hold llama.cpp for a GPU, with the SHA-512 that bun.lock pins for them.
 *
 *   bun native/engine-packages.ts           writes src/inference/llama/packs/packages.json
 *   bun native/engine-packages.ts --check   exits 1 when the committed file is not what bun.lock says
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dir, "..");
const packagesFile = join(root, "src/inference/llama/packs/packages.json");

const wanted = ["linux-x64-cuda", "linux-x64-cuda-ext", "linux-x64-vulkan"].map((name) => `@node-llama-cpp/${name}`);

/** The committed text of packages.json, as bun.lock and package.json have it. @throws Error when their versions differ */
export function enginePackagesText(lock: string, manifest: string): string {
  const { dependencies } = JSON.parse(manifest) as { dependencies: Record<string, string> };
  const version = dependencies["node-llama-cpp"];
  const packages = Object.fromEntries(
    wanted.map((name) => {
      // A line of bun.lock: "name": ["name@version", "registry", { … }, "sha512-…"],
      const line = lock.split("\n").find((text) => text.trim().startsWith(`"${name}": [`));
      const match = /\["(?<id>[^"]+)", .*"(?<integrity>sha512-[A-Za-z0-9+/]{86}==)"\],?$/.exec(line ?? "");
      if (match?.groups?.["id"] !== `${name}@${version}`)
        throw new Error(`bun.lock has no ${name} of version ${version}: it must be that of node-llama-cpp`);
      return [name, match.groups["integrity"]];
    }),
  );
  return `${JSON.stringify({ version, packages }, null, 2)}\n`;
}

if (import.meta.main) {
  const read = (name: string) => readFileSync(join(root, name), "utf8");
  const text = enginePackagesText(read("bun.lock"), read("package.json"));
  if (!process.argv.includes("--check")) writeFileSync(packagesFile, text);
  else if (readFileSync(packagesFile, "utf8") !== text) {
    console.error("packages.json is not what bun.lock says. Run native/engine-packages.ts.");
    process.exitCode = 1;
  }
}
