import { createHash } from "node:crypto";
import { BlfError } from "../../lib/errors.ts";
import type { Target } from "./platform.ts";

/** One library in a pack. */
export type PackedFile = {
  name: string;
  /** Bytes. */
  size: number;
  /** Bytes from the start of the uncompressed body. */
  offset: number;
  sha256: string;
  /** `runtime`: the C++ compiler's own libraries, for systems that have none. */
  role: "common" | "cpu" | "gpu" | "runtime";
  /** The CPU variant whose kernels it holds. */
  variant?: string;
};

/** The head of a pack: everything that is needed to tell whether it was already extracted. */
export type PackHeader = {
  /** First 24 hex digits of a hash of names and contents. */
  id: string;
  target: Target;
  /** Release of llama.cpp that the libraries were built from. */
  release: string;
  rawSize: number;
  files: PackedFile[];
};

/** A pack opened for reading; the body is only touched by `body()`. */
export type Pack = { header: PackHeader; body(): Promise<Uint8Array> };

/** Names the format; it changes when the format does, so that packs of before are not taken for good. */
export const packMagic = "BLFPACK2";
const prefixSize = 44;

/** Prefix and header together are read at once, and are never longer than this. */
const headSize = 16 * 1024;

/** Joins a header and a zstd-compressed body: magic, u32le length and SHA-256 of the header, header as JSON, body. */
export function encodePack(header: PackHeader, compressed: Uint8Array): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(header));
  if (prefixSize + json.length > headSize) throw new RangeError("a pack cannot have so many files");
  const prefix = new Uint8Array(prefixSize);
  prefix.set(new TextEncoder().encode(packMagic));
  new DataView(prefix.buffer).setUint32(8, json.length, true);
  prefix.set(sha256(json), 12);
  return new Uint8Array(Buffer.concat([prefix, json, compressed]));
}

/**
 * Opens a pack by its path, which may lie inside the executable.
 * @throws BlfError `NATIVE_PACK_CORRUPT`
 */
export async function openPack(path: string): Promise<Pack> {
  const file = Bun.file(path);
  const head = new Uint8Array(await file.slice(0, headSize).arrayBuffer());
  if (head.length < prefixSize || new TextDecoder().decode(head.subarray(0, 8)) !== packMagic) throw corruptPack();
  const end = prefixSize + new DataView(head.buffer).getUint32(8, true);
  const json = head.subarray(prefixSize, end);
  if (!sha256(json).equals(head.subarray(12, prefixSize))) throw corruptPack();
  const header = JSON.parse(new TextDecoder().decode(json)) as PackHeader;
  return {
    header,
    body: async () => {
      const body = await unpack(new Uint8Array(await file.slice(end).arrayBuffer()));
      if (body.length !== header.rawSize) throw corruptPack();
      return body;
    },
  };
}

/**
 * The bytes of one file of an uncompressed body, compared with its hash.
 * @throws BlfError `NATIVE_PACK_CORRUPT`
 */
export function packedBytes(body: Uint8Array, file: PackedFile): Uint8Array {
  const bytes = body.subarray(file.offset, file.offset + file.size);
  if (sha256(bytes).toString("hex") !== file.sha256) throw corruptPack();
  return bytes;
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}

async function unpack(compressed: Uint8Array): Promise<Uint8Array> {
  try {
    return await Bun.zstdDecompress(compressed);
  } catch (error) {
    throw corruptPack(error);
  }
}

function corruptPack(cause?: unknown): BlfError {
  return new BlfError({
    code: "NATIVE_PACK_CORRUPT",
    message: "The llama.cpp libraries inside this executable are damaged",
    hint: "Download the executable again and compare its SHA-256.",
    cause,
  });
}
