import { join } from "node:path";
import { BlfError, errorCode } from "../lib/errors.ts";
import { type FileLock, tryLockFile } from "../lib/file-lock.ts";

/**
 * Makes this process the only daemon on a data directory, until it releases the lock or ends.
 * @throws BlfError `NODE_ALREADY_RUNNING`, `NODE_LOCK_UNAVAILABLE`
 */
export function lockDataDirectory(dir: string): { release(): void } {
  const path = join(dir, "node.lock");
  let lock: FileLock | undefined;
  try {
    lock = tryLockFile(path);
  } catch (error) {
    throw unavailable(path, errorCode(error), error);
  }
  if (!lock) throw alreadyRunning(dir);
  return lock;
}

function alreadyRunning(dir: string): BlfError {
  return new BlfError({
    code: "NODE_ALREADY_RUNNING",
    message: `Another blindference daemon runs on ${dir}`,
    hint: "Stop it first, or give this one a data directory and a key of its own with BLF_CONFIG_DIR.",
  });
}

function unavailable(path: string, code: string, cause: unknown): BlfError {
  return new BlfError({
    code: "NODE_LOCK_UNAVAILABLE",
    message: `The lock file ${path} cannot be used (${code})`,
    hint: "Check that the data directory exists and is writable; a damaged lock file may be deleted.",
    cause,
  });
}
