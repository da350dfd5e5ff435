import type { Hex } from "viem";
import { BlfError } from "../lib/errors.ts";
import { type Secret, wipe } from "../lib/secret.ts";
import { type RandomBytes, systemRandom } from "./random.ts";
import { encodeText } from "./text.ts";

const ivBytes = 12;
const tagBytes = 16;

/** Encrypts small secrets for the disk. Only the same wallet, purpose and id open what was sealed. */
export type Sealer = {
  /** `IV(12) ‖ ciphertext ‖ tag(16)`. */
  seal(id: string, bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>>;
  /** @throws BlfError `SEALED_DATA_INVALID` */
  open(id: string, sealed: Uint8Array): Promise<Uint8Array<ArrayBuffer>>;
};

/**
 * A sealer whose key is derived from the wallet's key by HKDF-SHA256, one per purpose. The key cannot be exported, and
 * purpose and id are authenticated, so that one record cannot be put in another's place.
 */
export async function createSealer(
  privateKey: Secret<Hex>,
  purpose: string,
  random: RandomBytes = systemRandom,
): Promise<Sealer> {
  const key = await deriveKey(privateKey, purpose);
  const parameters = (id: string, iv: Uint8Array<ArrayBuffer>) => ({
    name: "AES-GCM",
    iv,
    additionalData: encodeText(`${purpose.length}:${purpose}${id}`),
  });
  return {
    async seal(id, bytes) {
      const iv = random(ivBytes);
      const ciphertext = await crypto.subtle.encrypt(parameters(id, iv), key, bytes as Uint8Array<ArrayBuffer>);
      const sealed = new Uint8Array(ivBytes + ciphertext.byteLength);
      sealed.set(iv);
      sealed.set(new Uint8Array(ciphertext), ivBytes);
      return sealed;
    },
    async open(id, sealed) {
      try {
        if (sealed.length < ivBytes + tagBytes) throw new RangeError("too short");
        const ciphertext = sealed.slice(ivBytes) as Uint8Array<ArrayBuffer>;
        const iv = sealed.slice(0, ivBytes) as Uint8Array<ArrayBuffer>;
        return new Uint8Array(await crypto.subtle.decrypt(parameters(id, iv), key, ciphertext));
      } catch {
        throw new BlfError({
          code: "SEALED_DATA_INVALID",
          message: "A sealed record was changed, or belongs to another wallet",
          hint: "Use the data directory together with the wallet that wrote it.",
        });
      }
    },
  };
}

async function deriveKey(privateKey: Secret<Hex>, purpose: string): Promise<CryptoKey> {
  const material = new Uint8Array(Buffer.from(privateKey.reveal().slice(2), "hex"));
  try {
    const base = await crypto.subtle.importKey("raw", material, "HKDF", false, ["deriveKey"]);
    const info = encodeText(`blindference sealing v1: ${purpose}`);
    return await crypto.subtle.deriveKey(
      { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(32), info },
      base,
      { name: "AES-GCM", length: 256 },
      false,
      ["encrypt", "decrypt"],
    );
  } finally {
    wipe(material);
  }
}
