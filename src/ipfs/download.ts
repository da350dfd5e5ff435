import { type Clock, systemClock } from "../lib/clock.ts";
import { BlfError, errorCode } from "../lib/errors.ts";
import { type Fetch, isAllowedEndpoint, safeOrigin } from "../lib/http.ts";
import type { Logger } from "../lib/log.ts";
import { parseCid } from "./cid.ts";
import { downloadFrom, type GatewayContext } from "./gateway.ts";
import { hedge } from "./hedge.ts";
import { type ResolveHost, systemResolveHost } from "./redirect.ts";

export type DownloaderOptions = {
  fetch: Fetch;
  /** Base URLs, the preferred one first. */
  gateways: string[];
  log: Logger;
  clock?: Clock;
  /** Largest file, in bytes (16 MiB). */
  maxBytes?: number;
  /** For one gateway, from the call to the last byte, in milliseconds (15 s, PROTOCOL.md 4.10). */
  timeoutMs?: number;
  /** When the next gateway is asked although the one before may still answer, in milliseconds (2 s). */
  hedgeMs?: number;
  /** How long a verified file is kept, in milliseconds (60 s, PROTOCOL.md 4.10). */
  cacheMs?: number;
  resolveHost?: ResolveHost;
};

export type Downloader = {
  /**
   * The file of a CID, every byte verified.
   * @throws BlfError `CID_INVALID`, `CID_UNSUPPORTED`, `IPFS_UNAVAILABLE` (retryable); the signal's reason when aborted
   */
  download(cid: string, signal?: AbortSignal): Promise<Uint8Array>;
};

/**
 * Downloads through IPFS gateways, none of which is trusted.
 * @throws BlfError `IPFS_GATEWAY_INVALID` for an empty list, or a URL that is neither HTTPS nor of this machine
 */
export function createDownloader(options: DownloaderOptions): Downloader {
  const gateways = [...new Set(options.gateways.map((gateway) => gateway.replace(/\/+$/, "")))];
  if (gateways.length === 0) throw invalidGateway("No IPFS gateway is configured");
  for (const gateway of gateways)
    if (!isAllowedEndpoint(gateway)) throw invalidGateway(`The IPFS gateway ${safeOrigin(gateway)} does not use HTTPS`);
  const clock = options.clock ?? systemClock;
  const context: GatewayContext = {
    fetch: options.fetch,
    clock,
    resolveHost: options.resolveHost ?? systemResolveHost,
    timeoutMs: options.timeoutMs ?? 15_000,
    maxBytes: options.maxBytes ?? 16 * 1024 * 1024,
  };
  const cache = createCache(clock, options.cacheMs ?? 60_000, 4 * context.maxBytes);

  return {
    async download(cid, signal) {
      const id = parseCid(cid);
      const cached = cache.get(id.text);
      if (cached) return cached;
      const started = clock.now();
      const attempts = gateways.map((gateway) => (abort: AbortSignal) => downloadFrom(context, gateway, id, abort));
      const result = await hedge(attempts, { delayMs: options.hedgeMs ?? 2_000, clock, ...(signal ? { signal } : {}) });
      if (!result.ok) throw unavailable(id.text, gateways, result.errors);
      options.log.debug("downloaded", { cid: id.text, bytes: result.value.length, ms: clock.now() - started });
      cache.put(id.text, result.value);
      return result.value.slice();
    },
  };
}

/** Keeps verified ciphertext for a while: a requester and a second role on one machine ask for the same file. */
function createCache(clock: Clock, lifetimeMs: number, maximumBytes: number) {
  const entries = new Map<string, { bytes: Uint8Array; expires: number }>();
  let total = 0;
  const drop = (key: string) => {
    total -= entries.get(key)?.bytes.length ?? 0;
    entries.delete(key);
  };
  return {
    get(key: string): Uint8Array | undefined {
      const entry = entries.get(key);
      if (entry && entry.expires > clock.now()) return entry.bytes.slice();
      drop(key);
      return undefined;
    },
    put(key: string, bytes: Uint8Array): void {
      drop(key);
      for (const [other, { expires }] of entries)
        if (expires <= clock.now() || total + bytes.length > maximumBytes) drop(other);
      entries.set(key, { bytes, expires: clock.now() + lifetimeMs });
      total += bytes.length;
    },
  };
}

function unavailable(cid: string, gateways: string[], errors: unknown[]): BlfError {
  const reasons = gateways.map((gateway, index) => `${safeOrigin(gateway)} ${errorCode(errors[index])}`);
  return new BlfError({
    code: "IPFS_UNAVAILABLE",
    message: `No gateway delivered ${cid}: ${reasons.join(", ")}`,
    hint: "Check the network, or set ipfs_gateway to a gateway that has the file.",
    retryable: true,
  });
}

function invalidGateway(message: string): BlfError {
  return new BlfError({
    code: "IPFS_GATEWAY_INVALID",
    message,
    hint: "Set ipfs_gateway to an https:// address, or to one of this machine.",
  });
}
