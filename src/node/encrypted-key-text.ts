import * as z from "zod";
import type { EncryptedKey } from "../cofhe/cofhe.ts";
import { encryptedInputToWire, uint256 } from "../icl/wire.ts";

const inputSchema = z.object({
  ctHash: uint256,
  securityZone: z.int(),
  utype: z.int(),
  signature: z.templateLiteral(["0x", z.string()]),
});
const schema = z.object({ high: inputSchema, low: inputSchema });

/** The ciphertexts of a key as JSON text, in the network's own form (PROTOCOL.md 2.3). */
export function serialiseEncryptedKey(key: EncryptedKey): string {
  return JSON.stringify({ high: encryptedInputToWire(key.high), low: encryptedInputToWire(key.low) });
}

export function parseEncryptedKey(text: string): EncryptedKey {
  return schema.parse(JSON.parse(text));
}
