import { createCipheriv, createDecipheriv, timingSafeEqual } from "node:crypto";
import { keccak_256 } from "@noble/hashes/sha3";
import type { Hex } from "viem";
import { privateKeyToAddress } from "viem/accounts";
import * as z from "zod";
import { type RandomBytes, systemRandom } from "../crypto/random.ts";
import { BlfError, exitCodes } from "../lib/errors.ts";
import { parseJson } from "../lib/json.ts";
import { type Secret, wipe } from "../lib/secret.ts";
import { deriveKey, type KeyDerivation, parseKeyDerivation, unsupported } from "./key-derivation.ts";
import { parsePrivateKey } from "./private-key.ts";

export type EncryptKeystoreOptions = {
  random?: RandomBytes;
  /** Cost of scrypt, a power of two; the default takes about a second and 256 MiB. */
  scryptN?: number;
};

const hexText = z.string().regex(/^(0x)?([0-9a-fA-F]{2})+$/);
const cryptoSchema = z.object({
  cipher: z.string(),
  ciphertext: hexText,
  cipherparams: z.object({ iv: hexText }),
  kdf: z.string(),
  kdfparams: z.unknown(),
  mac: hexText,
});
const keystoreSchema = z.object({
  version: z.union([z.literal(3), z.literal("3")]),
  address: z.string().optional(),
  crypto: cryptoSchema,
});

/**
 * Writes a private key as Web3 Secret Storage version 3: scrypt N=2^18 r=8 p=1, AES-128-CTR, keccak-256 MAC. Returns the
 * file's JSON text. The password goes in as UTF-8 of its NFKC form, so that the same characters open it from any keyboard.
 * @throws BlfError `KEYSTORE_PASSWORD_EMPTY`
 */
export async function encryptKeystore(
  privateKey: Secret<Hex>,
  password: Secret<string>,
  options: EncryptKeystoreOptions = {},
): Promise<string> {
  if (password.reveal() === "")
    throw new BlfError({
      code: "KEYSTORE_PASSWORD_EMPTY",
      message: "A keystore needs a password",
      hint: "Choose one, or set BLF_KEY_PASSWORD.",
    });
  const random = options.random ?? systemRandom;
  const [salt, iv, idBytes] = [random(32), random(16), random(16)];
  const params = { n: options.scryptN ?? 2 ** 18, r: 8, p: 1, dklen: 32, salt };
  const derived = await deriveKey({ kdf: "scrypt", params }, password.reveal().normalize("NFKC"));
  const keyBytes = Buffer.from(privateKey.reveal().slice(2), "hex");
  try {
    const ciphertext = createCipheriv("aes-128-ctr", derived.subarray(0, 16), iv).update(keyBytes);
    const keystore = {
      version: 3,
      id: uuid(idBytes),
      address: privateKeyToAddress(privateKey.reveal()).slice(2).toLowerCase(),
      crypto: {
        ciphertext: hex(ciphertext),
        cipherparams: { iv: hex(iv) },
        cipher: "aes-128-ctr",
        kdf: "scrypt",
        kdfparams: { ...params, salt: hex(salt) },
        mac: hex(macOf(derived, ciphertext)),
      },
    };
    return `${JSON.stringify(keystore, null, 2)}\n`;
  } finally {
    wipe(derived, keyBytes);
  }
}

/**
 * Opens a version 3 keystore of any tool (scrypt or pbkdf2), given as JSON text or parsed. The address is derived from the
 * key and compared with the file's.
 * @throws BlfError `KEYSTORE_CORRUPT`, `KEYSTORE_UNSUPPORTED`, `KEYSTORE_PASSWORD_WRONG`, `KEYSTORE_ADDRESS_MISMATCH`
 */
export async function decryptKeystore(keystore: unknown, password: Secret<string>): Promise<Secret<Hex>> {
  const file = parseKeystore(keystore);
  const derived = await derivedKeyFor(file, password);
  const keyBytes = createDecipheriv("aes-128-ctr", derived.subarray(0, 16), file.iv).update(file.ciphertext);
  try {
    const privateKey = parsePrivateKey(hex(keyBytes));
    const address = privateKeyToAddress(privateKey.reveal()).toLowerCase();
    if (file.address !== undefined && file.address !== address) throw addressMismatch(file.address, address);
    return privateKey;
  } catch (error) {
    if (error instanceof BlfError && error.code === "PRIVATE_KEY_INVALID") throw corrupt("it holds no valid key");
    throw error;
  } finally {
    wipe(derived, keyBytes);
  }
}

type Keystore = {
  derivation: KeyDerivation;
  iv: Uint8Array;
  ciphertext: Uint8Array;
  mac: Uint8Array;
  /** Lower case with `0x`. Some tools leave it out. */
  address: string | undefined;
};

function parseKeystore(input: unknown): Keystore {
  const json = typeof input === "string" ? parseText(input) : input;
  const version = (json as { version?: unknown } | null)?.version;
  if (typeof version === "number" && version !== 3) throw unsupported(`it has version ${version}, not 3`);
  try {
    const { crypto, address } = keystoreSchema.parse(withLowerCaseCrypto(json));
    if (crypto.cipher !== "aes-128-ctr") throw unsupported("its cipher is not aes-128-ctr");
    const derivation = parseKeyDerivation(crypto.kdf, crypto.kdfparams);
    const [iv, ciphertext, mac] = [unhex(crypto.cipherparams.iv), unhex(crypto.ciphertext), unhex(crypto.mac)];
    if (iv.length !== 16 || ciphertext.length !== 32 || mac.length !== 32) throw corrupt("a field has a wrong length");
    return { derivation, iv, ciphertext, mac, address: parseAddress(address) };
  } catch (error) {
    if (error instanceof BlfError) throw error;
    throw corrupt("it is not a version 3 keystore");
  }
}

/** Tools differ in whether they normalise a password: the normal form is tried first, then the text as it was typed. */
async function derivedKeyFor(file: Keystore, password: Secret<string>): Promise<Uint8Array> {
  for (const form of new Set([password.reveal().normalize("NFKC"), password.reveal()])) {
    const derived = await deriveKey(file.derivation, form);
    if (timingSafeEqual(macOf(derived, file.ciphertext), file.mac)) return derived;
    wipe(derived);
  }
  throw new BlfError({
    code: "KEYSTORE_PASSWORD_WRONG",
    message: "The password does not open this keystore",
    hint: "Type the password chosen at init, or set BLF_KEY_PASSWORD.",
    exitCode: exitCodes.authentication,
  });
}

function parseText(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    throw corrupt("it is not JSON");
  }
}

/** Old files of some tools spell the field `Crypto`. */
function withLowerCaseCrypto(json: unknown): unknown {
  if (typeof json !== "object" || json === null || "crypto" in json || !("Crypto" in json)) return json;
  return { ...json, crypto: json.Crypto };
}

function parseAddress(text: string | undefined): string | undefined {
  if (text === undefined || text === "") return undefined;
  const digits = /^(?:0x)?([0-9a-fA-F]{40})$/.exec(text)?.[1];
  if (digits === undefined) throw corrupt("its address is not an address");
  return `0x${digits.toLowerCase()}`;
}

function macOf(derived: Uint8Array, ciphertext: Uint8Array): Uint8Array {
  return keccak_256(new Uint8Array([...derived.subarray(16, 32), ...ciphertext]));
}

function uuid(bytes: Uint8Array): string {
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return hex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function unhex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text.replace(/^0x/, ""), "hex"));
}

export function corrupt(reason: string): BlfError {
  return new BlfError({
    code: "KEYSTORE_CORRUPT",
    message: `The keystore is damaged: ${reason}`,
    hint: "Restore the file from a backup, or import the private key again with `blindference init`.",
  });
}

function addressMismatch(written: string, derived: string): BlfError {
  return new BlfError({
    code: "KEYSTORE_ADDRESS_MISMATCH",
    message: `The keystore says ${written}, but its key belongs to ${derived}`,
    hint: "The file was changed: restore it from a backup.",
  });
}
