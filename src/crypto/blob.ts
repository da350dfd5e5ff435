import { BlfError } from "../lib/errors.ts";
import { wipe } from "../lib/secret.ts";
import { keyBytes } from "./key-halves.ts";
import { type RandomBytes, systemRandom } from "./random.ts";
import { decodeText, encodeText } from "./text.ts";

const ivBytes = 12;
const tagBytes = 16;

/** The shortest blob there is: that of an empty text. */
export const minimumBlobBytes = ivBytes + tagBytes;

/**
 * Encrypts with AES-256-GCM under a fresh IV: `IV(12) ‖ tag(16) ‖ ciphertext`, no additional data (PROTOCOL.md 2.1).
 * @throws BlfError `BLOB_KEY_INVALID`
 */
export async function sealBlob(
  key: Uint8Array,
  plaintext: Uint8Array,
  random: RandomBytes = systemRandom,
): Promise<Uint8Array<ArrayBuffer>> {
  const aesKey = await importKey(key, "encrypt");
  const iv = random(ivBytes);
  const sealed = new Uint8Array(
    await crypto.subtle.encrypt({ name: "AES-GCM", iv }, aesKey, plaintext as Uint8Array<ArrayBuffer>),
  );
  const blob = new Uint8Array(ivBytes + sealed.length);
  blob.set(iv);
  blob.set(sealed.subarray(sealed.length - tagBytes), ivBytes);
  blob.set(sealed.subarray(0, sealed.length - tagBytes), minimumBlobBytes);
  return blob;
}

/**
 * Decrypts a blob in the wire layout (PROTOCOL.md 2.1).
 * @throws BlfError `BLOB_TOO_SHORT` under 28 bytes, `BLOB_AUTHENTICATION_FAILED` for a wrong key or changed bytes, `BLOB_KEY_INVALID`
 */
export async function openBlob(key: Uint8Array, blob: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  if (blob.length < minimumBlobBytes)
    throw new BlfError({
      code: "BLOB_TOO_SHORT",
      message: `An encrypted blob has at least ${minimumBlobBytes} bytes, this one has ${blob.length}`,
      hint: "The blob was cut or is not a Blindference blob: the sender has to upload it again.",
    });
  const aesKey = await importKey(key, "decrypt");
  const iv = blob.slice(0, ivBytes);
  const sealed = new Uint8Array(blob.length - ivBytes);
  sealed.set(blob.subarray(minimumBlobBytes));
  sealed.set(blob.subarray(ivBytes, minimumBlobBytes), sealed.length - tagBytes);
  try {
    return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv }, aesKey, sealed));
  } catch {
    throw new BlfError({
      code: "BLOB_AUTHENTICATION_FAILED",
      message: "The encrypted blob does not belong to this key, or its bytes were changed",
      hint: "The sender has to encrypt and upload it again with the key stored for the job.",
    });
  }
}

/** `sealBlob` of the UTF-8 bytes of a text. */
export async function sealText(key: Uint8Array, text: string, random: RandomBytes = systemRandom) {
  const bytes = encodeText(text);
  try {
    return await sealBlob(key, bytes, random);
  } finally {
    wipe(bytes);
  }
}

/**
 * `openBlob`, read as UTF-8.
 * @throws BlfError `PROMPT_NOT_UTF8`, and what `openBlob` throws
 */
export async function openText(key: Uint8Array, blob: Uint8Array): Promise<string> {
  const bytes = await openBlob(key, blob);
  try {
    return decodeText(bytes);
  } finally {
    wipe(bytes);
  }
}

/** A new content key: 32 random bytes. */
export function createContentKey(random: RandomBytes = systemRandom): Uint8Array<ArrayBuffer> {
  return random(keyBytes);
}

function importKey(key: Uint8Array, usage: "encrypt" | "decrypt"): Promise<CryptoKey> {
  if (key.length !== keyBytes)
    throw new BlfError({
      code: "BLOB_KEY_INVALID",
      message: `An AES-256 key has ${keyBytes} bytes, this one has ${key.length}`,
      hint: "Use a key of 32 random bytes.",
    });
  return crypto.subtle.importKey("raw", key as Uint8Array<ArrayBuffer>, "AES-GCM", false, [usage]);
}
