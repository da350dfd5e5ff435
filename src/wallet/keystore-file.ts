import { randomBytes } from "node:crypto";
import { existsSync, linkSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { BlfError, errorCode, exitCodes } from "../lib/errors.ts";
import { ensurePrivateDirectory, fileError, writeFileAtomic } from "../lib/files.ts";
import { corrupt } from "./keystore.ts";

/** A keystore has about 500 bytes. */
const maximumBytes = 64 * 1024;

/**
 * The text of a keystore file.
 * @throws BlfError `KEYSTORE_NOT_FOUND` (exit code 3), `KEYSTORE_CORRUPT`, `FILE_*`
 */
export function readKeystore(path: string): string {
  try {
    if (statSync(path).size > maximumBytes) throw corrupt("it is far too large");
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof BlfError) throw error;
    if (errorCode(error) !== "ENOENT") throw fileError("read", path, error);
    throw new BlfError({
      code: "KEYSTORE_NOT_FOUND",
      message: `There is no keystore at ${path}`,
      hint: "Run `blindference init` first, or set BLF_CONFIG_DIR to the directory of an existing node.",
      exitCode: exitCodes.notInitialised,
    });
  }
}

/**
 * Writes a new keystore file with mode 0600, completely or not at all. Never replaces one, not even when two processes
 * try at once: a lost key is a lost stake.
 * @throws BlfError `KEYSTORE_EXISTS`, `FILE_*`
 */
export function writeKeystore(path: string, keystore: string): void {
  if (existsSync(path)) throw alreadyThere(path);
  ensurePrivateDirectory(dirname(path));
  const complete = `${path}.${randomBytes(6).toString("hex")}.new`;
  writeFileAtomic(complete, keystore);
  try {
    linkSync(complete, path);
  } catch (error) {
    const code = errorCode(error);
    if (code === "EEXIST") throw alreadyThere(path);
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes(code)) throw fileError("write", path, error);
    renameWithoutLinks(complete, path);
  } finally {
    rmSync(complete, { force: true });
  }
}

/** File systems without hard links offer nothing better than to look and then rename. */
function renameWithoutLinks(from: string, to: string): void {
  if (existsSync(to)) throw alreadyThere(to);
  try {
    renameSync(from, to);
  } catch (error) {
    throw fileError("write", to, error);
  }
}

function alreadyThere(path: string): BlfError {
  return new BlfError({
    code: "KEYSTORE_EXISTS",
    message: `There is a keystore at ${path} already`,
    hint: "It is never overwritten: move it away yourself, or set BLF_CONFIG_DIR to another directory.",
  });
}
