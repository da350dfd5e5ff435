import { copyFileSync, linkSync, lstatSync, mkdirSync, readdirSync, readlinkSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";

/**
 * Puts a file, or a directory with all that is in it, at another place too. Files are linked, which takes a second where half a gigabyte of
 * packages would be copied, or copied when the place is on another disk: whoever changes one in place changes both.
 */
export function linkTree(from: string, to: string): void {
  const stat = lstatSync(from);
  mkdirSync(stat.isDirectory() ? to : dirname(to), { recursive: true });
  if (stat.isDirectory()) for (const name of readdirSync(from)) linkTree(join(from, name), join(to, name));
  else if (stat.isSymbolicLink()) symlinkSync(readlinkSync(from), to);
  else linkFile(from, to);
}

function linkFile(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Another disk, a system without links, somebody else's file, or too many links to one.
    if (!["EXDEV", "EPERM", "ENOTSUP", "EOPNOTSUPP", "EMLINK"].includes(code ?? "")) throw error;
    copyFileSync(from, to);
  }
}
