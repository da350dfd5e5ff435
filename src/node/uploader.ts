import type { Config } from "../config/load.ts";
import type { Secrets } from "../config/secrets.ts";
import { createUploader, type Uploader } from "../ipfs/upload.ts";
import type { Circuits } from "../lib/circuit.ts";
import { systemClock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";

/** Where Pinata takes files (PROTOCOL.md 4.10). */
const pinataUrl = "https://api.pinata.cloud";

/** The upload service that the configuration names: Kubo by its URL, or Pinata by its JWT. Undefined when there is none. */
export function createNodeUploader(
  config: Config,
  secrets: Secrets,
  log: Logger,
  circuits?: Circuits,
): Uploader | undefined {
  const common = { fetch: globalThis.fetch, clock: systemClock, log, ...(circuits ? { circuits } : {}) };
  if (config.ipfs_upload_kind === "kubo")
    return config.ipfs_upload_url === ""
      ? undefined
      : createUploader({ ...common, kind: "kubo", url: config.ipfs_upload_url });
  if (!secrets.ipfsUploadJwt) return undefined;
  return createUploader({
    ...common,
    kind: "pinata",
    url: config.ipfs_upload_url || pinataUrl,
    jwt: secrets.ipfsUploadJwt,
  });
}
