import { createHash } from "node:crypto";
import type { Sealer } from "../../src/crypto/sealing.ts";
import { BlfError } from "../../src/lib/errors.ts";
import { openBytes, sealNow } from "./subtle.ts";

/** Seals like the wallet's own, at once: only the same node and the same id open what was sealed. */
export function simSealer(node: string): Sealer {
  const keyOf = (id: string) => createHash("sha256").update(`${node} ${id}`).digest();
  const iv = new Uint8Array(12);
  return {
    seal: async (id, bytes) => sealNow(keyOf(id), bytes, iv),
    open: async (id, sealed) => {
      const bytes = openBytes(keyOf(id), sealed);
      if (bytes) return bytes;
      throw new BlfError({ code: "SEALED_DATA_INVALID", message: "A sealed record was changed", hint: "None." });
    },
  };
}
