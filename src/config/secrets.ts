import { readFileSync } from "node:fs";
import { BlfError, exitCodes } from "../lib/errors.ts";
import { fileError } from "../lib/files.ts";
import { Secret } from "../lib/secret.ts";

export type Secrets = {
  privateKey?: Secret<string>;
  keyPassword?: Secret<string>;
  /** For `keys change-password`. */
  newKeyPassword?: Secret<string>;
  ipfsUploadJwt?: Secret<string>;
  groqApiKey?: Secret<string>;
  googleApiKey?: Secret<string>;
  vllmApiKey?: Secret<string>;
  mockAttestationKey?: Secret<string>;
  hubToken?: Secret<string>;
};

const names: Record<string, keyof Secrets> = {
  BLF_PRIVATE_KEY: "privateKey",
  BLF_KEY_PASSWORD: "keyPassword",
  BLF_NEW_KEY_PASSWORD: "newKeyPassword",
  BLF_IPFS_UPLOAD_JWT: "ipfsUploadJwt",
  PINATA_JWT: "ipfsUploadJwt",
  GROQ_API_KEY: "groqApiKey",
  GOOGLE_API_KEY: "googleApiKey",
  BLF_VLLM_API_KEY: "vllmApiKey",
  VLLM_API_KEY: "vllmApiKey",
  MOCK_ATTESTATION_KEY: "mockAttestationKey",
  HF_TOKEN: "hubToken",
};

const passwordFile = "BLF_KEY_PASSWORD_FILE";

/** Every variable that holds a secret. */
export const secretNames = Object.keys(names);

/** The `BLF_*` variables that hold a secret or say where one is. */
export const secretVariables = [...Object.keys(names).filter((name) => name.startsWith("BLF_")), passwordFile];

/**
 * Takes the secrets out of the environment: each is wrapped and its variable removed, so that no child inherits it and
 * nothing that prints the environment shows it. `BLF_KEY_PASSWORD_FILE` names a file that holds the password, which
 * leaves it out of the environment altogether.
 * @throws BlfError `FILE_*`
 */
export function takeSecrets(env: Record<string, string | undefined>): Secrets {
  const secrets: Secrets = {};
  for (const [name, key] of Object.entries(names)) {
    const value = env[name];
    delete env[name];
    if (value) secrets[key] ??= new Secret(value);
  }
  const path = env[passwordFile];
  if (path && !secrets.keyPassword) secrets.keyPassword = new Secret(readPasswordFile(path));
  return secrets;
}

/** First line of the file, without its end. */
function readPasswordFile(path: string): string {
  try {
    return readFileSync(path, "utf8").split(/\r?\n/, 1)[0]!;
  } catch (error) {
    throw fileError("read the password from", path, error);
  }
}

/** @throws BlfError `PASSWORD_MISSING` */
export function requirePassword(secrets: Secrets): Secret<string> {
  if (secrets.keyPassword) return secrets.keyPassword;
  throw new BlfError({
    code: "PASSWORD_MISSING",
    message: "The keystore needs its password and there is no terminal to ask for it",
    hint: "Set BLF_KEY_PASSWORD or BLF_KEY_PASSWORD_FILE, or pass --password-stdin.",
    exitCode: exitCodes.authentication,
  });
}
