import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { BlfError, errorCode } from "./errors.ts";

/** Turns an error of the file system into words. */
export function fileError(action: string, path: string, error: unknown): BlfError {
  const code = errorCode(error);
  const hints: Record<string, string> = {
    EACCES: "Give this user access to it, or set BLF_CONFIG_DIR to a directory of its own.",
    EPERM: "Give this user access to it, or set BLF_CONFIG_DIR to a directory of its own.",
    EROFS: "The file system is read-only: set BLF_CONFIG_DIR to a writable directory.",
    ENOSPC: "The disk is full: free some space and run the command again.",
    ENOENT: "Check that the path exists.",
    EEXIST: "There is a file of that name: move it away, or choose another path.",
    EISDIR: "That is a directory: name a file.",
    ENOTDIR: "A part of the path is a file, not a directory: choose another path.",
  };
  return new BlfError({
    code: `FILE_${code}`,
    message: `Cannot ${action} ${path} (${code})`,
    hint: hints[code] ?? "Check the path and its permissions.",
    cause: error,
  });
}

/** Makes a directory that only this user can enter. */
export function ensurePrivateDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw fileError("create the directory", path, error);
  }
}

/** Writes a file so that it is there completely or not at all, even if the power fails. Mode 0600 by default. */
export function writeFileAtomic(path: string, content: string | Uint8Array, mode = 0o600): void {
  const temporary = `${path}.${crypto.randomUUID()}.tmp`;
  try {
    const file = openSync(temporary, "wx", mode);
    try {
      const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
      for (let written = 0; written < bytes.length; ) written += writeSync(file, bytes, written);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
    syncDirectory(dirname(path));
  } catch (error) {
    removeQuietly(temporary);
    throw fileError("write", path, error);
  }
}

/** Removes what may not even be there; an error of this would hide the one that matters. */
function removeQuietly(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {}
}

/** Makes a rename durable: the directory's own entry must reach the disk too. */
function syncDirectory(path: string): void {
  const directory = openSync(path, "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
