import { isIP } from "node:net";
import { createDirectFetch } from "../lib/direct-fetch.ts";
import { BlfError } from "../lib/errors.ts";
import type { Fetch } from "../lib/http.ts";
import { isLanAddress, isPublicAddress, type ResolveHost, systemResolveHost } from "../lib/public-address.ts";
import { isLocal, redirectRefused } from "./redirect.ts";

export type GatewayFetches = {
  /** For addresses that the operator configured. */
  fetch: Fetch;
  /** For addresses that a gateway chose. */
  redirectFetch: Fetch;
};

export type GatewayFetchOptions = {
  fetch: Fetch;
  resolve?: ResolveHost;
  /** Whether requests go through a proxy, which alone knows the addresses then. */
  hasProxy?: boolean;
};

/**
 * How gateways are asked: by connections to addresses that were looked at before. A gateway that is configured by name may be on the
 * internet or in the operator's network, but neither this machine nor its link, where clouds keep their metadata; where a redirect leads
 * must be public. What is configured as an address, and this machine by its own names, is used as it is.
 */
export function createGatewayFetches(options: GatewayFetchOptions): GatewayFetches {
  const { fetch, resolve = systemResolveHost, hasProxy = false } = options;
  const redirect = { resolve, isAllowed: isPublicAddress, refused: redirectRefused };
  const ofOperator = (address: string) => isPublicAddress(address) || isLanAddress(address);
  const named = createDirectFetch({ resolve, isAllowed: ofOperator, refused: gatewayRefused });
  const chosen = createDirectFetch(redirect);
  const throughProxy: Fetch = async (url, init) => {
    const addresses = await resolve(hostOf(url));
    if (addresses.length === 0 || !addresses.every(isPublicAddress)) throw redirectRefused();
    return fetch(url, init);
  };
  return {
    fetch: (url, init) => (hasProxy || isLocal(url) || isIP(hostOf(url)) > 0 ? fetch : named)(url, init),
    redirectFetch: (url, init) => (isLocal(url) ? fetch : hasProxy ? throughProxy : chosen)(url, init),
  };
}

function hostOf(url: string): string {
  return new URL(url).hostname.replace(/^\[|\]$/g, "");
}

function gatewayRefused(): BlfError {
  return new BlfError({
    code: "IPFS_GATEWAY_REFUSED",
    message: "The name of the IPFS gateway leads to this machine or its link",
    hint: "Set ipfs_gateway to the address itself if that is meant, such as http://127.0.0.1:8080.",
  });
}
