import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The SHA-512 of every package that bun.lock pins, by `name@version`, as 128 hex digits. */
export function lockedHashes(root: string): Map<string, string> {
  const hashes = new Map<string, string>();
  // A line of bun.lock: "path": ["name@version", "registry", { … }, "sha512-…"],
  for (const line of readFileSync(join(root, "bun.lock"), "utf8").split("\n")) {
    const match = /^\s*"[^"]+": \["(?<id>[^"]+)", .*"sha512-(?<hash>[A-Za-z0-9+/]{86}==)"\],?$/.exec(line);
    if (match?.groups) hashes.set(match.groups["id"]!, Buffer.from(match.groups["hash"]!, "base64").toString("hex"));
  }
  return hashes;
}
