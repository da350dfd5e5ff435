import { constants } from "node:fs";
import { mkdir, open, rename, rm, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { BlfError } from "../../lib/errors.ts";
import { fileError } from "../../lib/files.ts";

/** A file that is written in any order while it is downloaded. */
export type PartFile = {
  write(bytes: Uint8Array, position: number): Promise<void>;
  /** Exactly `length` bytes. */
  read(length: number, position: number): Promise<Uint8Array>;
  resize(size: number): Promise<void>;
  /** Bytes that it takes on the disk: less than its size while it has holes. */
  allocated(): Promise<number>;
  /** Gives the file its final name, once all of it is on the disk. */
  finish(path: string): Promise<void>;
  close(): Promise<void>;
};

/** Opens, or makes, the file of a download that has not ended. @throws BlfError `FILE_*`; so do all of its methods */
export async function openPartFile(path: string): Promise<PartFile> {
  const wrapped = async <T>(action: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw error instanceof BlfError ? error : fileError(action, path, error);
    }
  };
  const file = await wrapped("create", async () => {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    return open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  });
  return {
    write: (bytes, position) =>
      wrapped("write", async () => {
        for (let done = 0; done < bytes.length; )
          done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
      }),
    read: (length, position) =>
      wrapped("read", async () => {
        const bytes = new Uint8Array(length);
        for (let done = 0; done < length; ) {
          const { bytesRead } = await file.read(bytes, done, length - done, position + done);
          if (bytesRead === 0) throw Object.assign(new Error("the file is too short"), { code: "EOF" });
          done += bytesRead;
        }
        return bytes;
      }),
    resize: (size) => wrapped("resize", () => file.truncate(size)),
    allocated: () => wrapped("look at", async () => (await file.stat()).blocks * 512),
    finish: (final) =>
      wrapped("rename", async () => {
        await file.sync();
        await rename(path, final);
        const directory = await open(dirname(final), "r");
        await directory.sync().finally(() => directory.close());
      }),
    close: () => file.close(),
  };
}

export async function removeFiles(...paths: string[]): Promise<void> {
  for (const path of paths) await rm(path, { force: true });
}

/**
 * Says before gigabytes are downloaded that they do not fit.
 * @param missing bytes that are still to be written
 * @throws BlfError `DISK_FULL`
 */
export async function assertSpace(directory: string, missing: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory).catch((error: unknown) => {
    throw fileError("look at", directory, error);
  });
  const free = bavail * bsize;
  if (free >= missing) return;
  const megabytes = (bytes: number) => `${Math.ceil(bytes / 1e6)} MB`;
  throw new BlfError({
    code: "DISK_FULL",
    message: `The download needs ${megabytes(missing)} more, but ${directory} has ${megabytes(free)} free`,
    hint: "Free some space, or set model_cache_dir to a larger disk. What was downloaded is kept.",
  });
}
