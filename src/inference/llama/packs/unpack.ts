import { createHash } from "node:crypto";
import { mkdir, open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileError, writeFileAtomic } from "../../../lib/files.ts";
import { assertSpace } from "../../pull/part-file.ts";
import type { Target } from "../platform.ts";
import type { GpuEngine, GpuPackage } from "./gpu-packages.ts";
import { descriptionFile, type PackDescription } from "./pack-directory.ts";
import { packageFiles, releaseOf } from "./package-files.ts";
import { readTarball } from "./tarball.ts";

export type UnpackOptions = {
  engine: GpuEngine;
  target: Target;
  /** Downloaded and compared with their hashes. The first is the engine itself, others add to it. */
  tarballs: { package: GpuPackage; path: string }[];
  /** Of the pack; it must not exist. */
  directory: string;
};

type PackedFile = PackDescription["files"][number];

/**
 * Writes what this program uses of the packages into a directory, with a file that says what lies there.
 * @throws BlfError `ENGINE_PACK_INVALID`, `DISK_FULL`, `FILE_*`
 */
export async function unpackPackages({ engine, target, tarballs, directory }: UnpackOptions): Promise<void> {
  await inWords(directory, () => mkdir(directory, { mode: 0o700 }));
  const files: PackedFile[] = [];
  let release: string | undefined;
  // One after the other: a tarball is held in memory while it is unpacked.
  for (const tarball of tarballs) {
    const { name } = tarball.package;
    const contents = packageFiles(await readTarball(tarball.path, name), target);
    release ??= await releaseOf(contents, engine, target, name);
    await assertSpace(
      directory,
      contents.reduce((sum, { content }) => sum + content.size, 0),
    );
    for (const { content, ...file } of contents) {
      const written = await inWords(join(directory, file.name), () => write(join(directory, file.name), content));
      files.push({ ...file, ...written });
    }
  }
  const { version } = tarballs[0]!.package;
  const description: PackDescription = { format: 1, engine, target, version, release: release!, files };
  writeFileAtomic(join(directory, descriptionFile), `${JSON.stringify(description, null, 2)}\n`);
}

async function write(path: string, content: Blob): Promise<{ size: number; sha256: string }> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const bytes = await content.bytes();
  const file = await open(path, "wx", 0o500);
  try {
    for (let done = 0; done < bytes.length; ) done += (await file.write(bytes, done)).bytesWritten;
    await file.sync();
  } finally {
    await file.close();
  }
  return { size: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
}

async function inWords<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw fileError("write", path, error);
  }
}
