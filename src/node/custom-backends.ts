import { type Config, expandPath } from "../config/load.ts";
import { type Catalogue, readCatalogue, writeCatalogue } from "../inference/custom/catalogue.ts";
import type { BackendDescription } from "../inference/custom/messages.ts";
import { createCustomBackend } from "../inference/custom.ts";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";

/** A module of `custom_backends`, with what is known of it without loading it: no models when it was never loaded. */
export type CustomBackendEntry = { path: string; description: BackendDescription };

export function customBackendEntries(config: Config): CustomBackendEntry[] {
  if (config.custom_backends.length === 0) return [];
  const catalogue = readCatalogue(config.dir);
  const paths = new Set(config.custom_backends.map((path) => expandPath(path, config.dir)));
  return [...paths].map((path) => ({ path, description: catalogue[path] ?? { name: path, models: [] } }));
}

/**
 * Loads every custom backend once and writes down what it says of itself, so that a module that does not work ends the start
 * and not a job that was claimed.
 * @throws BlfError `BACKEND_*`, `FILE_*`
 */
export async function describeCustomBackends(config: Config, log: Logger, clock: Clock): Promise<void> {
  const entries = customBackendEntries(config);
  if (entries.length === 0) return;
  const catalogue: Catalogue = {};
  for (const { path, description } of entries) {
    const backend = createCustomBackend({ path, description, log, clock });
    try {
      const { name, models } = await backend.load(new AbortController().signal);
      catalogue[path] = { name, models };
    } finally {
      await backend.close();
    }
  }
  if (JSON.stringify(catalogue) !== JSON.stringify(readCatalogue(config.dir))) writeCatalogue(config.dir, catalogue);
}
