import { pbkdf2, scrypt } from "node:crypto";
import { promisify } from "node:util";
import { scryptAsync as scryptOfNoble } from "@noble/hashes/scrypt";
import * as z from "zod";
import { BlfError } from "../lib/errors.ts";

/** Most memory that a keystore may ask for: twice what our own files need. */
const maximumScryptBytes = 512 * 1024 * 1024;
/** Most blocks of work, 128 bytes each: sixteen times our own files. */
const maximumScryptWork = 2 ** 18 * 8 * 16;
const maximumPbkdf2Iterations = 10_000_000;

const hexBytes = (minimum: number, maximum: number) =>
  z
    .string()
    .regex(/^(0x)?([0-9a-fA-F]{2})*$/)
    .transform((text) => new Uint8Array(Buffer.from(text.replace(/^0x/, ""), "hex")))
    .refine((bytes) => bytes.length >= minimum && bytes.length <= maximum);

const positive = z.number().int().positive();
const dklen = z.number().int().min(32).max(64);
const salt = hexBytes(1, 256);

const scryptSchema = z.object({ n: positive, r: positive, p: positive, dklen, salt });
const pbkdf2Schema = z.object({ c: positive, prf: z.string(), dklen, salt });

/** How a keystore turns its password into a key, as written in the file. */
export type KeyDerivation =
  | { kdf: "scrypt"; params: z.infer<typeof scryptSchema> }
  | { kdf: "pbkdf2"; params: z.infer<typeof pbkdf2Schema> };

/**
 * Reads `kdf` and `kdfparams` of a keystore. Bounds memory and time, since a file from elsewhere may ask for any amount.
 * @throws BlfError `KEYSTORE_UNSUPPORTED`; ZodError for parameters of a wrong shape
 */
export function parseKeyDerivation(kdf: string, params: unknown): KeyDerivation {
  if (kdf === "scrypt") {
    const parsed = scryptSchema.parse(params);
    const { n, r, p } = parsed;
    if (n < 2 || !Number.isInteger(Math.log2(n))) throw unsupported("its scrypt N is not a power of two");
    if (scryptMemory(n, r, p) > maximumScryptBytes || n * r * p > maximumScryptWork)
      throw unsupported("its scrypt parameters need too much memory or time");
    return { kdf, params: parsed };
  }
  if (kdf === "pbkdf2") {
    const parsed = pbkdf2Schema.parse(params);
    if (parsed.prf !== "hmac-sha256") throw unsupported("its PBKDF2 function is not hmac-sha256");
    if (parsed.c > maximumPbkdf2Iterations) throw unsupported("its PBKDF2 iterations need too much time");
    return { kdf, params: parsed };
  }
  throw unsupported("its key derivation is neither scrypt nor pbkdf2");
}

/** Computes the key, off the main thread. */
export async function deriveKey(derivation: KeyDerivation, password: string): Promise<Uint8Array> {
  const bytes = Buffer.from(password, "utf8");
  try {
    if (derivation.kdf === "pbkdf2") {
      const { c, dklen, salt } = derivation.params;
      return await promisify(pbkdf2)(bytes, salt, c, dklen, "sha256");
    }
    const { n, r, p, dklen, salt } = derivation.params;
    // BoringSSL insists on N < 2^(16 r), which the standard's own test vector breaks; noble does not.
    if (n >= 2 ** (16 * r)) return await scryptOfNoble(bytes, salt, { N: n, r, p, dkLen: dklen });
    return await scryptAsync(bytes, salt, dklen, { N: n, r, p, maxmem: scryptMemory(n, r, p) + 1024 * 1024 });
  } finally {
    bytes.fill(0);
  }
}

const scryptAsync = promisify<
  Uint8Array,
  Uint8Array,
  number,
  { N: number; r: number; p: number; maxmem: number },
  Buffer
>(scrypt);

function scryptMemory(n: number, r: number, p: number): number {
  return 128 * r * (n + p + 2);
}

export function unsupported(reason: string): BlfError {
  return new BlfError({
    code: "KEYSTORE_UNSUPPORTED",
    message: `The keystore cannot be opened here: ${reason}`,
    hint: "Export the key from the tool that wrote the file, as a version 3 keystore with scrypt N=262144, r=8, p=1.",
  });
}
