import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { type BuildResult, buildExecutable } from "../../native/build.ts";
import { platforms } from "../../native/platforms.ts";
import { hostTarget } from "../../src/inference/llama/platform.ts";

/** This checkout. */
export const root = resolve(import.meta.dir, "..", "..");

export const hostPlatform = platforms[hostTarget()];

/** The executable for this machine, as it is shipped; takes a few seconds. */
export function buildForHost(directory: string): Promise<BuildResult> {
  const out = join(directory, "blindference");
  return buildExecutable({ platform: hostPlatform, out, testFaults: false, root, print: () => {} });
}

/** What bun.lock says, read by Bun itself: `name@version` and the integrity as npm writes it. */
export async function lockedPackages(): Promise<{ id: string; integrity: string }[]> {
  const { default: lock } = await import(join(root, "bun.lock"), { with: { type: "jsonc" } });
  const entries = Object.values(lock.packages as Record<string, [string, string, object, string]>);
  return entries.map(([id, , , integrity]) => ({ id, integrity }));
}

/** An integrity of npm in hex. */
export function hexOf(integrity: string): string {
  const [algorithm, base64] = integrity.split(/-(.*)/s) as [string, string];
  if (algorithm !== "sha512") throw new Error(`not a SHA-512: ${integrity}`);
  return [...atob(base64)].map((character) => character.charCodeAt(0).toString(16).padStart(2, "0")).join("");
}

export function sha256Of(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

/** Writes files by their paths below a directory; what is not a text becomes JSON. */
export function writeFiles(directory: string, files: Record<string, string | object>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), typeof content === "string" ? content : JSON.stringify(content));
  }
}
