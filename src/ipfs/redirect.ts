import { isIP } from "node:net";
import { BlfError } from "../lib/errors.ts";
import { isPublicAddress } from "../lib/public-address.ts";

/**
 * Where a redirect leads, if we may go there as far as its text tells: to HTTPS on the public internet, or within this machine when it
 * came from this machine. To which address a name leads is looked at when it is connected to.
 * @throws BlfError `IPFS_REDIRECT_REFUSED`
 */
export function redirectTarget(from: string, location: string | null): string {
  const source = new URL(from);
  const target = URL.parse(location ?? "", source.href);
  if (location === null || target === null) throw redirectRefused();
  if (target.username !== "" || target.password !== "") throw redirectRefused();
  if (isLoopback(target.hostname)) {
    if (isLoopback(source.hostname) && /^https?:$/.test(target.protocol)) return target.href;
    throw redirectRefused();
  }
  if (target.protocol !== "https:") throw redirectRefused();
  const host = target.hostname.replace(/^\[|\]$/g, "");
  if (isIP(host) && !isPublicAddress(host)) throw redirectRefused();
  return target.href;
}

/** Whether a URL names this machine. */
export function isLocal(url: string): boolean {
  return isLoopback(new URL(url).hostname);
}

function isLoopback(hostname: string): boolean {
  return /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
}

export function redirectRefused(): BlfError {
  return new BlfError({
    code: "IPFS_REDIRECT_REFUSED",
    message: "The gateway redirects to an address that must not be followed",
    hint: "Use another gateway.",
  });
}
