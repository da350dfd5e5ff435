import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, openSync, realpathSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import type { Address } from "viem";
import { privateKeyToAddress } from "viem/accounts";
import { BlfError, exitCodes } from "../lib/errors.ts";
import { fileError, writeFileAtomic } from "../lib/files.ts";
import type { Secret } from "../lib/secret.ts";
import { decryptKeystore, type EncryptKeystoreOptions, encryptKeystore } from "./keystore.ts";
import { readKeystore } from "./keystore-file.ts";

export type ChangePasswordParameters = {
  /** Path of the keystore. */
  path: string;
  password: Secret<string>;
  newPassword: Secret<string>;
} & EncryptKeystoreOptions;

/**
 * Encrypts a keystore's key again with another password. The new file is written beside the old one, read back from the disk and
 * opened; only then it takes the old one's place, in one step. Takes about three seconds by design.
 * @throws BlfError `PASSWORD_UNCHANGED`, `KEYSTORE_*`, `FILE_*`; the old file is as it was
 */
export async function changeKeystorePassword(parameters: ChangePasswordParameters): Promise<Address> {
  const { password, newPassword, path: given, ...options } = parameters;
  const privateKey = await decryptKeystore(readKeystore(given), password);
  if (newPassword.reveal().normalize("NFKC") === password.reveal().normalize("NFKC")) throw unchanged();
  const path = resolveLinks(given);
  const fresh = `${path}.${randomBytes(6).toString("hex")}.new`;
  try {
    writeFileAtomic(fresh, await encryptKeystore(privateKey, newPassword, options));
    const readBack = await decryptKeystore(readKeystore(fresh), newPassword);
    if (readBack.reveal() !== privateKey.reveal()) throw notTheSame();
    replace(fresh, path);
  } finally {
    rmSync(fresh, { force: true });
  }
  return privateKeyToAddress(privateKey.reveal());
}

/** A keystore may be a link to a file elsewhere; renaming onto the link would leave the old file there. */
function resolveLinks(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    throw fileError("read", path, error);
  }
}

/** Renames, and makes that durable: the directory's own entry must reach the disk too. */
function replace(from: string, to: string): void {
  try {
    renameSync(from, to);
    const directory = openSync(dirname(to), "r");
    fsyncSync(directory);
    closeSync(directory);
  } catch (error) {
    throw fileError("write", to, error);
  }
}

function unchanged(): BlfError {
  return new BlfError({
    code: "PASSWORD_UNCHANGED",
    message: "The new password is the old one",
    hint: "Choose another one.",
    exitCode: exitCodes.usage,
  });
}

function notTheSame(): BlfError {
  return new BlfError({
    code: "KEYSTORE_VERIFICATION_FAILED",
    message: "The new keystore could not be read back from the disk as it was written",
    hint: "The old file and its password are as they were. Check the disk before you try again.",
  });
}
