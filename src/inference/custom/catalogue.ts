import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod/mini";
import { writeFileAtomic } from "../../lib/files.ts";
import type { BackendDescription } from "./messages.ts";

const catalogueSchema = z.record(z.string(), z.object({ name: z.string(), models: z.array(z.string()) }));

/** By path of the module. */
export type Catalogue = Record<string, BackendDescription>;

/**
 * What the custom backends of a data directory said of themselves when they were loaded last. Which models a node offers must be known
 * in places that cannot run a foreign module first.
 */
export function readCatalogue(dir: string): Catalogue {
  try {
    return catalogueSchema.parse(JSON.parse(readFileSync(cataloguePath(dir), "utf8")));
  } catch {
    return {};
  }
}

/** @throws BlfError `FILE_*` */
export function writeCatalogue(dir: string, catalogue: Catalogue): void {
  writeFileAtomic(cataloguePath(dir), `${JSON.stringify(catalogue, null, 2)}\n`);
}

function cataloguePath(dir: string): string {
  return join(dir, "backends.json");
}
