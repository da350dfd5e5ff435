import { packInvalid } from "./errors.ts";

/** Longest path in a package that we would believe. */
const longestPath = 200;

/**
 * The regular files of a downloaded package, by their path in it. The tarball was compared with its pinned hash before; names are checked
 * all the same, since they decide where bytes are written. Links and devices are no files: nothing of them is read or made.
 * @throws BlfError `ENGINE_PACK_INVALID`
 */
export async function readTarball(path: string, name: string): Promise<Map<string, Blob>> {
  let files: Map<string, Blob>;
  try {
    files = await new Bun.Archive(await Bun.file(path).bytes()).files();
  } catch {
    throw packInvalid(name, "is no archive that can be read");
  }
  for (const entry of files.keys()) if (!isPlainPath(entry)) throw packInvalid(name, "has a file outside of itself");
  return files;
}

/** `package/…` with plain names in between: nothing absolute, nothing that leads upwards. */
function isPlainPath(path: string): boolean {
  const [first, ...rest] = path.split("/");
  const isPlain = (part: string) => /^[\w@+-][\w.@+-]*$/.test(part) || /^\.[\w@+-][\w.@+-]*$/.test(part);
  return first === "package" && rest.length > 0 && rest.every(isPlain) && path.length <= longestPath;
}
