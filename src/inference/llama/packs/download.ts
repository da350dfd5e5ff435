import { existsSync, statSync } from "node:fs";
import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import type { Clock } from "../../../lib/clock.ts";
import { BlfError } from "../../../lib/errors.ts";
import { retry } from "../../../lib/retry.ts";
import { contentRange } from "../../pull/digest.ts";
import { httpError, protocolError, unreachable } from "../../pull/errors.ts";
import { assertSpace, openPartFile } from "../../pull/part-file.ts";
import type { Download, Transport } from "../../pull/transport.ts";
import { integrityMismatch } from "./errors.ts";
import type { GpuPackage } from "./gpu-packages.ts";

export type PackageDownload = {
  package: GpuPackage;
  /** Without a slash at its end. */
  registryUrl: string;
  /** Where the tarball is to lie. What is not complete lies beside it, and the next call goes on with it. */
  path: string;
  transport: Transport;
  clock: Clock;
  signal: AbortSignal;
  /** Bytes so far, and in all if the registry says. */
  onProgress(received: number, total: number | undefined): void;
};

/** Larger than any package of this kind by far. */
const largestTarball = 2e9;

/** Sizes of the tarball that it and what is unpacked from it take on the disk. */
const neededShare = 4;

/**
 * Downloads a package's tarball and compares it with its pinned SHA-512. A line that is cut is taken up where it broke, also by a later
 * call; what is complete and right is not fetched again.
 * @throws BlfError `ENGINE_PACK_INTEGRITY`, `ENGINE_PACK_DOWNLOAD_*`, `DISK_FULL`, `FILE_*`; the signal's reason when aborted.
 */
export async function downloadPackage(options: PackageDownload): Promise<void> {
  const { path, clock, signal, package: wanted } = options;
  if (existsSync(path) && (await integrityOf(path)) === wanted.integrity) return;
  try {
    await retry(() => downloadOnce(options), { clock, signal, attempts: 6, initialMs: 200, maxMs: 10_000 });
  } catch (error) {
    signal.throwIfAborted();
    throw renamed(error, wanted.name);
  }
}

async function downloadOnce(options: PackageDownload): Promise<void> {
  const { path, package: wanted } = options;
  const partial = `${path}.part`;
  const kept = statSync(partial, { throwIfNoEntry: false })?.size ?? 0;
  const file = await openPartFile(partial);
  try {
    await receive(options, kept, file);
    if ((await integrityOf(partial)) === wanted.integrity) return await file.finish(path);
  } finally {
    await file.close();
  }
  await rm(partial, { force: true });
  // What an earlier run left may have been another file: from the beginning it may be right.
  if (kept > 0) return downloadOnce(options);
  throw integrityMismatch(wanted.name);
}

type Part = Awaited<ReturnType<typeof openPartFile>>;

/** Fetches what follows the first `kept` bytes, or everything when the registry does not go along with that. */
async function receive(options: PackageDownload, kept: number, file: Part): Promise<void> {
  const { transport, signal, onProgress } = options;
  const range: Record<string, string> = kept > 0 ? { Range: `bytes=${kept}-` } : {};
  const answer = await transport.get(tarballUrl(options), range, signal);
  try {
    const { start, total } = placeOf(answer, kept);
    // The registry has no more than is here already; whether that is the right file, its hash says.
    if (answer.status === 416 && kept > 0) return;
    await file.resize(start);
    if (total !== undefined) await assertSpace(dirname(options.path), total * neededShare - start);
    let position = start;
    for await (const bytes of answer.body) {
      if (position + bytes.length > (total ?? largestTarball))
        throw protocolError(answer.url, "sends more than it said");
      await file.write(bytes, position);
      position += bytes.length;
      onProgress(position, total);
    }
    if (total !== undefined && position < total) throw unreachable(answer.url, "cut the connection");
  } finally {
    answer.close();
  }
}

function placeOf(answer: Download, kept: number): { start: number; total: number | undefined } {
  const { status, headers, url } = answer;
  if (status === 416 && kept > 0) return { start: kept, total: undefined };
  const range = contentRange(headers);
  if (status === 206 && range?.first === kept && kept > 0) return checked(url, { start: kept, total: range.total });
  if (status !== 200) throw httpError(url, status === 206 ? 502 : status);
  const length = headers.get("content-length") ?? "";
  return checked(url, { start: 0, total: /^\d{1,15}$/.test(length) ? Number(length) : undefined });
}

function checked<T extends { total: number | undefined }>(url: string, place: T): T {
  if ((place.total ?? 0) > largestTarball) throw protocolError(url, "offers a file that is too large");
  return place;
}

/** Where every npm registry has it, so that no document of the registry needs to be read and believed. */
function tarballUrl({ registryUrl, package: { name, version } }: PackageDownload): string {
  return `${registryUrl}/${name}/-/${name.split("/").at(-1)}-${version}.tgz`;
}

async function integrityOf(path: string): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha512");
  for await (const chunk of Bun.file(path).stream()) hasher.update(chunk);
  return `sha512-${hasher.digest("base64")}`;
}

/** The errors of a model's download, in words that fit a package. */
function renamed(error: unknown, name: string): unknown {
  if (!(error instanceof BlfError) || !error.code.startsWith("PULL_")) return error;
  const hints: Record<string, string> = {
    PULL_UNREACHABLE: "Check the network. What was downloaded is kept: run the same command again to go on.",
    PULL_NOT_FOUND: "Check npm_registry_url: the registry of npmjs.org has every version of it.",
  };
  return new BlfError({
    code: error.code.replace("PULL_", "ENGINE_PACK_DOWNLOAD_"),
    message: `${error.message}; it was asked for ${name}`,
    hint: hints[error.code] ?? "Check npm_registry_url, or leave it empty for the registry of npmjs.org.",
    retryable: error.retryable,
    exitCode: error.exitCode,
    cause: error,
  });
}
