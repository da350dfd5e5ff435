import { type Circuit, type Circuits, createCircuits } from "../lib/circuit.ts";
import { type Clock, systemClock } from "../lib/clock.ts";
import { BlfError, errorCode } from "../lib/errors.ts";
import { type Fetch, isAllowedEndpoint, safeOrigin } from "../lib/http.ts";
import type { Logger } from "../lib/log.ts";
import { hasProxy } from "../lib/proxy.ts";
import { retryAfterMs } from "../lib/retry-after.ts";
import { type ContentId, parseCid } from "./cid.ts";
import { downloadFrom, type GatewayContext } from "./gateway.ts";
import { createGatewayFetches, type GatewayFetches } from "./gateway-fetch.ts";
import { hedge } from "./hedge.ts";

export type DownloaderOptions = {
  /** Asks what is configured; by default the address behind each name is looked at first. */
  fetch?: Fetch;
  /** Asks where a gateway redirects to; by default only what is public. */
  redirectFetch?: Fetch;
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
  circuits?: Circuits;
  /** How long a verified file is kept, in milliseconds (60 s, PROTOCOL.md 4.10). */
  cacheMs?: number;
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
  const guarded: GatewayFetches = createGatewayFetches({
    fetch: options.fetch ?? globalThis.fetch,
    hasProxy: hasProxy(),
  });
  const context: GatewayContext = {
    fetch: options.fetch ?? guarded.fetch,
    redirectFetch: options.redirectFetch ?? guarded.redirectFetch,
    clock,
    timeoutMs: options.timeoutMs ?? 15_000,
    maxBytes: options.maxBytes ?? 16 * 1024 * 1024,
  };
  const circuits = options.circuits ?? createCircuits({ clock });
  const hedgeMs = options.hedgeMs ?? 2_000;
  const known = gateways.map((url) => ({ url, circuit: circuits.of(`ipfs ${safeOrigin(url)}`, patience) }));
  const attempt =
    ({ url, circuit }: KnownGateway, id: ContentId, caller?: AbortSignal) =>
    async (signal: AbortSignal) => {
      const began = clock.now();
      try {
        const bytes = await downloadFrom(context, url, id, signal);
        circuit.succeeded();
        return bytes;
      } catch (error) {
        const wasOvertaken = signal.aborted && clock.now() - began >= hedgeMs;
        if (!caller?.aborted && (signal.aborted ? wasOvertaken : !isAbsence(error)))
          circuit.failed(retryAfterMs(error));
        throw error;
      }
    };
  const cache = createCache(clock, options.cacheMs ?? 60_000, 4 * context.maxBytes);

  return {
    async download(cid, signal) {
      const id = parseCid(cid);
      const cached = cache.get(id.text);
      if (cached) return cached;
      const started = clock.now();
      // Those that failed of late come last, but they are asked before the file is given up.
      const ordered = known.toSorted((a, b) => Number(a.circuit.isOpen()) - Number(b.circuit.isOpen()));
      const attempts = ordered.map((gateway) => attempt(gateway, id, signal));
      const result = await hedge(attempts, { delayMs: hedgeMs, clock, ...(signal ? { signal } : {}) });
      const asked = ordered.map(({ url }) => url);
      if (!result.ok) throw unavailable(id.text, asked, result.errors);
      options.log.debug("downloaded", { cid: id.text, bytes: result.value.length, ms: clock.now() - started });
      cache.put(id.text, result.value);
      return result.value.slice();
    },
  };
}

type KnownGateway = { url: string; circuit: Circuit };

/** There are other gateways to ask meanwhile. */
const patience = { threshold: 3, initialMs: 10_000, maxMs: 120_000, maxRetryAfterMs: 120_000 };

/** Whether a gateway only said that it does not have the file, which is no fault of its. */
function isAbsence(error: unknown): boolean {
  return ["IPFS_HTTP_404", "IPFS_HTTP_410", "IPFS_HTTP_451"].includes(errorCode(error));
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
