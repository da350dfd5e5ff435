import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { BlfError } from "../../lib/errors.ts";
import { fileError, writeFileAtomic } from "../../lib/files.ts";
import { marker } from "./plan.ts";

/** The service file, if it is one of ours. @throws BlfError `SERVICE_FILE_FOREIGN`, `FILE_*` */
export function readOurs(path: string): string | undefined {
  if (!existsSync(path)) return undefined;
  let content: string;
  try {
    content = readFileSync(path, "utf8");
  } catch (error) {
    throw fileError("read", path, error);
  }
  if (content.includes(marker)) return content;
  throw new BlfError({
    code: "SERVICE_FILE_FOREIGN",
    message: `${path} was not written by this program`,
    hint: "It is left alone: move it away first.",
  });
}

/** @throws BlfError `FILE_*` */
export function writeServiceFile(path: string, content: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
  } catch (error) {
    throw needsRoot(path, error);
  }
  try {
    writeFileAtomic(path, content, 0o644);
  } catch (error) {
    throw needsRoot(path, error);
  }
}

/** @throws BlfError `FILE_*` */
export function removeServiceFile(path: string): void {
  try {
    rmSync(path);
  } catch (error) {
    throw needsRoot(path, error);
  }
}

function needsRoot(path: string, error: unknown): BlfError {
  const known = error instanceof BlfError ? error : fileError("change", path, error);
  if (!/^FILE_(EACCES|EPERM|EROFS)$/.test(known.code)) return known;
  const hint =
    "A --system service needs root: run the command with sudo, and BLF_CONFIG_DIR set to the data directory.";
  return new BlfError({ code: known.code, message: known.message, hint });
}
