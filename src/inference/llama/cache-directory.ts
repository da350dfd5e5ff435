import { mkdirSync, statSync } from "node:fs";
import { homedir, tmpdir, userInfo } from "node:os";
import { isAbsolute, join } from "node:path";
import { BlfError, errorCode } from "../../lib/errors.ts";

/** Where what can be made again is kept: `$XDG_CACHE_HOME/blindference`, or `~/.cache/blindference`. */
export function cacheDirectory(environment: Record<string, string | undefined> = process.env): string {
  const configured = environment["XDG_CACHE_HOME"];
  if (configured && isAbsolute(configured)) return join(configured, "blindference");
  return join(environment["HOME"] || homedir(), ".cache", "blindference");
}

/** Takes the cache's place where the home directory cannot be written: one per user, so that it does not grow with every start. */
export function temporaryCacheDirectory(): string {
  return join(tmpdir(), `blindference-${userInfo().uid}`);
}

/**
 * Makes a directory that is safe to load code from: ours, and writable by nobody else.
 * @throws BlfError `NATIVE_CACHE_UNSAFE`; the system's error if it cannot be made.
 */
export function ensureOwnDirectory(path: string): void {
  let status = statSync(path, { throwIfNoEntry: false });
  if (!status) {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    status = statSync(path);
  }
  const { uid, mode } = status;
  if (uid === process.getuid?.() && (mode & 0o022) === 0) return;
  throw new BlfError({
    code: "NATIVE_CACHE_UNSAFE",
    message: `Other users can write to ${path}, so no code is loaded from it`,
    hint: "Remove that directory, or set XDG_CACHE_HOME to a directory that only you can write.",
  });
}

/** Whether an error means that this place cannot be written and another may. */
export function isUnwritable(error: unknown): boolean {
  return ["EACCES", "EPERM", "EROFS", "ENOENT", "ENOTDIR"].includes(errorCode(error));
}
