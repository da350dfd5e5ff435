import { rmSync } from "node:fs";
import { BlfError } from "../../lib/errors.ts";
import { type FileLock, tryLockFile } from "../../lib/file-lock.ts";
import { fileError } from "../../lib/files.ts";

/**
 * Keeps two processes from writing the same download.
 * @throws BlfError `PULL_RUNNING`, `FILE_*`
 */
export function lockDownload(path: string): { release(): void } {
  const lock = take(path);
  return {
    release: () => {
      // Removed while it is still held: nobody can hold the removed one and believe to be alone.
      rmSync(path, { force: true });
      lock.release();
    },
  };
}

function take(path: string): FileLock {
  let lock: FileLock | undefined;
  try {
    lock = tryLockFile(path);
  } catch (error) {
    throw fileError("lock", path, error);
  }
  if (lock) return lock;
  throw new BlfError({
    code: "PULL_RUNNING",
    message: "Another process downloads this model right now",
    hint: "Wait for it, or give this one another --id.",
    retryable: true,
  });
}
