import { readdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { errorCode } from "../../../lib/errors.ts";
import { fileError } from "../../../lib/files.ts";
import type { GpuEngine } from "./gpu-packages.ts";
import { cachePlaces, type InstalledPack, installedPacks } from "./pack-directory.ts";

/** Deletes every version of an engine, and the views of it that were loaded from. Returns what there was. @throws BlfError `FILE_*` */
export function removePacks(engine: GpuEngine, caches = cachePlaces()): InstalledPack[] {
  const packs = installedPacks(caches).filter((pack) => pack.engine === engine);
  for (const { directory, name } of packs) {
    try {
      // Renamed first: half a pack must not be taken for one.
      const doomed = join(dirname(directory), `.${name}.removed`);
      rmSync(doomed, { recursive: true, force: true });
      renameSync(directory, doomed);
      rmSync(doomed, { recursive: true, force: true });
      removeViews(join(dirname(directory), "..", "native"), name);
    } catch (error) {
      throw fileError("delete", directory, error);
    }
  }
  return packs;
}

function removeViews(root: string, name: string): void {
  try {
    for (const entry of readdirSync(root))
      if (entry.startsWith(`${name}-`)) rmSync(join(root, entry), { recursive: true, force: true });
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
}
