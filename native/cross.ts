import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Platform } from "./platforms.ts";

/**
 * The directory whose node_modules has a platform's runtime and libraries. For another platform than this one they are installed from
 * the lockfile, which pins their hashes, into a directory of their own.
 */
export function packagesOf(platform: Platform, root: string): string {
  if (platform.os === process.platform && platform.cpu === process.arch) return root;
  const directory = join(root, "build", "cross", platform.target);
  const marker = join(directory, ".installed");
  const inputs = ["package.json", "bun.lock"];
  const hash = createHash("sha256");
  for (const name of inputs) hash.update(readFileSync(join(root, name)));
  const wanted = hash.digest("hex");
  if (existsSync(marker) && readFileSync(marker, "utf8") === wanted) return directory;
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  for (const name of inputs) copyFileSync(join(root, name), join(directory, name));
  const flags = [
    "--frozen-lockfile",
    `--os=${platform.os}`,
    `--cpu=${platform.cpu}`,
    "--ignore-scripts",
    "--omit=optional",
  ];
  const { success, stderr } = Bun.spawnSync([process.execPath, "install", ...flags], {
    cwd: directory,
    env: { ...process.env, BUN_BE_BUN: "1" },
    stdout: "ignore",
    stderr: "pipe",
  });
  if (!success) throw new Error(`the packages of ${platform.target} cannot be installed:\n${stderr.toString()}`);
  writeFileSync(marker, wanted);
  return directory;
}
