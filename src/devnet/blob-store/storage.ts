import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { errorCode } from "../../lib/errors.ts";
import { ensurePrivateDirectory, fileError, writeFileAtomic } from "../../lib/files.ts";

/** Files by their canonical CID. */
export type BlobStorage = {
  read(cid: string): Uint8Array | undefined;
  write(cid: string, bytes: Uint8Array): void;
};

export function createMemoryStorage(): BlobStorage {
  const files = new Map<string, Uint8Array>();
  return {
    read: (cid) => files.get(cid)?.slice(),
    write: (cid, bytes) => void files.set(cid, bytes.slice()),
  };
}

/**
 * One file per CID. A canonical CID has letters and digits only, so it is a safe name.
 * @throws BlfError `FILE_*`
 */
export function createDirectoryStorage(directory: string): BlobStorage {
  ensurePrivateDirectory(directory);
  return {
    read(cid) {
      const path = join(directory, cid);
      try {
        return new Uint8Array(readFileSync(path));
      } catch (error) {
        if (errorCode(error) === "ENOENT") return undefined;
        throw fileError("read", path, error);
      }
    },
    write(cid, bytes) {
      const path = join(directory, cid);
      if (!existsSync(path)) writeFileAtomic(path, bytes);
    },
  };
}
