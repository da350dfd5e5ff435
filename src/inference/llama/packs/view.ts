import { mkdirSync, readlinkSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { ensureOwnDirectory } from "../cache-directory.ts";
import { packDamaged } from "./errors.ts";
import { damagedFiles, type InstalledPack } from "./pack-directory.ts";

/** What llama.cpp may see of a pack. */
export type PackView = { variant: string; runtime: boolean; verify: boolean };

/**
 * A directory of links to those libraries of a pack that llama.cpp may see: it loads every kernel library that it finds beside itself.
 * @throws BlfError `ENGINE_PACK_DAMAGED`, `NATIVE_CACHE_UNSAFE`; the system's error when it cannot be written.
 */
export function linkPack(pack: InstalledPack, { variant, runtime, verify }: PackView): string {
  ensureOwnDirectory(pack.directory);
  if (damagedFiles(pack, { content: verify }).length > 0) throw packDamaged(pack.engine, pack.directory);
  const cache = dirname(dirname(pack.directory));
  const view = join(cache, "native", `${pack.name}-${variant}-gpu${runtime ? "-runtime" : ""}`);
  ensureOwnDirectory(view);
  for (const { name, role, variant: ofFile } of pack.files) {
    if (role === "cpu" && ofFile !== variant) continue;
    mkdirSync(dirname(join(view, name)), { recursive: true, mode: 0o700 });
    link(join(pack.directory, name), join(view, name));
  }
  return view;
}

/** Processes that start at the same time make the same link; each puts its own in place in one step. */
function link(target: string, path: string): void {
  try {
    if (readlinkSync(path) === target) return;
  } catch {
    // There is none yet, or something else has its name.
  }
  const temporary = `${path}.${process.pid}.${crypto.randomUUID()}`;
  symlinkSync(target, temporary);
  try {
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
