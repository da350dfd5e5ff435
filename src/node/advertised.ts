import type { Config } from "../config/load.ts";
import type { Secrets } from "../config/secrets.ts";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { offeredModels, serviceModels } from "./models.ts";

export type AdvertisedModelsParameters = {
  config: Config;
  secrets: Secrets;
  log: Logger;
  clock: Clock;
  signal: AbortSignal;
};

/**
 * What an attestation outside of the running node may name: of the models that the configuration offers, those of services over HTTP only
 * when they are fit now. The log says why one is not.
 */
export async function advertisedModels(parameters: AdvertisedModelsParameters): Promise<string[]> {
  const { config, secrets, log, clock, signal } = parameters;
  const offered = offeredModels(config);
  if (serviceModels(config).length === 0) return offered;
  const { createInference } = await import("./inference.ts");
  const inference = createInference(config, log, clock, { secrets });
  try {
    await inference.probe(signal).catch(() => signal.throwIfAborted());
    const fit = inference.advertised();
    return offered.filter((id) => fit.includes(id));
  } finally {
    await inference.close();
  }
}
