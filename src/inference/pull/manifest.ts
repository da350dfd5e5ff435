import * as z from "zod/mini";
import { BlfError } from "../../lib/errors.ts";
import { sha256Pattern } from "./digest.ts";
import type { Transport } from "./transport.ts";

const hash = z.string().check(z.regex(sha256Pattern));

const manifestSchema = z
  .strictObject({
    size: z.int().check(z.positive()),
    sha256: hash,
    chunk_size: z.int().check(z.gte(65_536), z.lte(1_073_741_824)),
    chunks: z.array(hash),
  })
  .check(z.refine(({ size, chunk_size, chunks }) => chunks.length === Math.ceil(size / chunk_size)));

/** The SHA-256 of a file and of each of its chunks. Servers that vouch for no part of a file are repaired with it chunk by chunk. */
export type Manifest = z.output<typeof manifestSchema>;

const largestManifest = 64_000_000;

/**
 * Reads a manifest from a file or an HTTPS URL.
 * @throws BlfError `PULL_MANIFEST_INVALID`, `PULL_*`
 */
export async function readManifest(from: string, transport: Transport, signal: AbortSignal): Promise<Manifest> {
  const bytes = /^https?:/i.test(from) ? await download(from, transport, signal) : await readLocal(from);
  try {
    return manifestSchema.parse(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
  } catch {
    throw invalid("is not a list of the hashes of a file's chunks");
  }
}

/** Hashes a file and its chunks. */
export async function createManifest(path: string, chunkSize: number): Promise<Manifest> {
  const file = Bun.file(path);
  const whole = new Bun.CryptoHasher("sha256");
  const chunks: string[] = [];
  for (let start = 0; start < file.size; start += chunkSize) {
    const bytes = await file.slice(start, start + chunkSize).bytes();
    whole.update(bytes);
    chunks.push(new Bun.CryptoHasher("sha256").update(bytes).digest("hex"));
  }
  return { size: file.size, sha256: whole.digest("hex"), chunk_size: chunkSize, chunks };
}

async function readLocal(path: string): Promise<Uint8Array> {
  const file = Bun.file(path);
  if (!(await file.exists())) throw invalid("is not there");
  if (file.size > largestManifest) throw invalid("is too large");
  return file.bytes();
}

async function download(url: string, transport: Transport, signal: AbortSignal): Promise<Uint8Array> {
  const answer = await transport.get(url, {}, signal);
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of answer.body) {
    length += part.length;
    if (length > largestManifest) throw invalid("is too large");
    parts.push(part);
  }
  if (answer.status !== 200) throw invalid(`is not there (HTTP ${answer.status})`);
  return Buffer.concat(parts);
}

function invalid(what: string): BlfError {
  return new BlfError({
    code: "PULL_MANIFEST_INVALID",
    message: `The manifest ${what}`,
    hint: "Make one from a good copy of the file with `blindference models verify ID --write-manifest FILE`.",
  });
}
