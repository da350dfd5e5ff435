import { createCipheriv, createDecipheriv } from "node:crypto";

type Algorithm = { name: string; iv: Uint8Array; additionalData?: Uint8Array };

/**
 * WebCrypto's AES-GCM, done at once: the real one answers from a thread at a moment of its own choosing, and a run could not be repeated.
 * Gives a function that puts the real one back.
 */
export function useImmediateCrypto(): () => void {
  const { subtle } = crypto;
  const replacements: Record<string, unknown> = {
    importKey: async (_format: string, raw: Uint8Array) => ({ raw: raw.slice() }),
    encrypt: async ({ iv }: Algorithm, { raw }: { raw: Uint8Array }, plaintext: Uint8Array) => {
      const cipher = createCipheriv("aes-256-gcm", raw, iv);
      const sealed = Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
      return new Uint8Array(sealed).buffer;
    },
    decrypt: async ({ iv }: Algorithm, { raw }: { raw: Uint8Array }, sealed: Uint8Array) => {
      const decipher = createDecipheriv("aes-256-gcm", raw, iv);
      decipher.setAuthTag(sealed.subarray(sealed.length - 16));
      const plaintext = Buffer.concat([decipher.update(sealed.subarray(0, sealed.length - 16)), decipher.final()]);
      return new Uint8Array(plaintext).buffer;
    },
  };
  for (const [name, value] of Object.entries(replacements))
    Object.defineProperty(subtle, name, { value, configurable: true, writable: true });
  return () => {
    for (const name of Object.keys(replacements)) Reflect.deleteProperty(subtle, name);
  };
}

/** A blob in the network's layout (PROTOCOL.md 2.1). */
export function sealNow(key: Uint8Array, plaintext: Uint8Array, iv: Uint8Array): Uint8Array<ArrayBuffer> {
  const cipher = createCipheriv("aes-256-gcm", key, iv);
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  return new Uint8Array(Buffer.concat([iv, cipher.getAuthTag(), ciphertext]));
}

/** The plaintext of a blob, or undefined when it is not that key's. */
export function openBytes(key: Uint8Array, blob: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
  try {
    const decipher = createDecipheriv("aes-256-gcm", key, blob.subarray(0, 12));
    decipher.setAuthTag(blob.subarray(12, 28));
    return new Uint8Array(Buffer.concat([decipher.update(blob.subarray(28)), decipher.final()]));
  } catch {
    return undefined;
  }
}

/** `openBytes` as text. */
export function openNow(key: Uint8Array, blob: Uint8Array): string | undefined {
  const bytes = openBytes(key, blob);
  return bytes && new TextDecoder().decode(bytes);
}
