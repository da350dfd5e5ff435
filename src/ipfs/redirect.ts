import { lookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";
import { BlfError } from "../lib/errors.ts";

/** Gives all addresses of a host name. */
export type ResolveHost = (hostname: string) => Promise<string[]>;

export const systemResolveHost: ResolveHost = async (hostname) =>
  (await lookup(hostname, { all: true })).map(({ address }) => address);

/** Addresses that are not on the public internet (IANA special-purpose registries). */
const notPublic = new BlockList();
for (const range of [
  "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24",
  "192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4",
  "::/96 64:ff9b:1::/48 100::/64 2001:db8::/32 2002::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8",
].flatMap((line) => line.split(" "))) {
  const [network, bits] = range.split("/") as [string, string];
  notPublic.addSubnet(network, Number(bits), network.includes(":") ? "ipv6" : "ipv4");
}

/**
 * Where a redirect leads, if we may go there: to HTTPS on the public internet, or within this machine when it came from
 * this machine.
 * @throws BlfError `IPFS_REDIRECT_REFUSED`
 */
export async function redirectTarget(from: string, location: string | null, resolve: ResolveHost): Promise<string> {
  const source = new URL(from);
  const target = URL.parse(location ?? "", source.href);
  if (location === null || target === null) throw refused();
  if (target.username !== "" || target.password !== "") throw refused();
  if (isLoopback(target.hostname)) {
    if (isLoopback(source.hostname) && /^https?:$/.test(target.protocol)) return target.href;
    throw refused();
  }
  if (target.protocol !== "https:") throw refused();
  const host = target.hostname.replace(/^\[|\]$/g, "");
  const addresses = isIP(host) ? [host] : await resolve(host).catch(() => [] as string[]);
  if (addresses.length === 0 || !addresses.every(isPublicAddress)) throw refused();
  return target.href;
}

/** Whether an IP address is one of the public internet. */
export function isPublicAddress(address: string): boolean {
  const version = isIP(address);
  if (version === 4) return !notPublic.check(address, "ipv4");
  if (version !== 6) return false;
  const embedded = mappedAddress(address);
  return embedded === undefined ? !notPublic.check(address, "ipv6") : isPublicAddress(embedded);
}

/** The IPv4 address inside of `::ffff:a.b.c.d` or its NAT64 form `64:ff9b::a.b.c.d`. */
function mappedAddress(address: string): string | undefined {
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const groups = /^(?:::ffff|64:ff9b:):([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(canonical);
  if (!groups) return undefined;
  const [high, low] = [Number.parseInt(groups[1]!, 16), Number.parseInt(groups[2]!, 16)];
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}

function isLoopback(hostname: string): boolean {
  return /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
}

function refused(): BlfError {
  return new BlfError({
    code: "IPFS_REDIRECT_REFUSED",
    message: "The gateway redirects to an address that must not be followed",
    hint: "Use another gateway.",
  });
}
