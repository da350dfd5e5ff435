import { lookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";

/** Gives all addresses of a host name. */
export type ResolveHost = (hostname: string) => Promise<string[]>;

export const systemResolveHost: ResolveHost = async (hostname) =>
  (await lookup(hostname, { all: true })).map(({ address }) => address);

/** IPv4 that is not on the public internet (IANA special-purpose registry), and the address at which Azure serves its virtual machines. */
const specialV4 = blockList(
  "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 168.63.129.16/32 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24",
  "192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4",
);
/** All that is given out for the public internet so far. */
const globalV6 = blockList("2000::/3");
/** Protocols, among them Teredo; documentation; 6to4. */
const specialV6 = blockList("2001::/23 2001:db8::/32 2002::/16 3fff::/20");
/** Networks of a home, an office, a data centre or a carrier. */
const lanAddresses = blockList("10.0.0.0/8 100.64.0.0/10 172.16.0.0/12 192.168.0.0/16 fc00::/7");
/** Where clouds tell a virtual machine its secrets, within the networks above. */
const metadataAddresses = blockList("100.100.100.200/32 192.0.0.192/32 fd00:ec2::254/128 fd20:ce::254/128");

/** Whether an IP address is one of the public internet. */
export function isPublicAddress(address: string): boolean {
  const plain = embeddedV4(address) ?? address;
  const version = isIP(plain);
  if (version === 4) return !specialV4.check(plain, "ipv4");
  return version === 6 && globalV6.check(plain, "ipv6") && !specialV6.check(plain, "ipv6");
}

/** Whether an IP address belongs to a private network: neither this machine itself nor its link, where clouds keep their metadata. */
export function isLanAddress(address: string): boolean {
  const plain = embeddedV4(address) ?? address;
  const version = isIP(plain);
  if (version === 0) return false;
  const family = version === 4 ? "ipv4" : "ipv6";
  return lanAddresses.check(plain, family) && !metadataAddresses.check(plain, family);
}

/** The IPv4 address inside of `::ffff:a.b.c.d` or its NAT64 form `64:ff9b::a.b.c.d`. */
function embeddedV4(address: string): string | undefined {
  const groups = groupsOf(address);
  if (groups === undefined) return undefined;
  const prefix = groups.slice(0, 6).join(":");
  if (prefix !== "0:0:0:0:0:65535" && prefix !== "100:65435:0:0:0:0") return undefined;
  const [high, low] = [groups[6]!, groups[7]!];
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}

/** The eight groups of an IPv6 address; undefined for what is none, or names an interface. */
function groupsOf(address: string): number[] | undefined {
  if (isIP(address) !== 6 || address.includes("%")) return undefined;
  const [head = "", tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split("::");
  const numbers = (text: string) => (text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16)));
  const [first, last] = [numbers(head), numbers(tail ?? "")];
  return [...first, ...new Array<number>(8 - first.length - last.length).fill(0), ...last];
}

function blockList(...lines: string[]): BlockList {
  const list = new BlockList();
  for (const range of lines.flatMap((line) => line.split(" "))) {
    const [network, bits] = range.split("/") as [string, string];
    list.addSubnet(network, Number(bits), network.includes(":") ? "ipv6" : "ipv4");
  }
  return list;
}
