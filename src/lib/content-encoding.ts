import type { ZlibOptions } from "node:zlib";

type Unpack = (
  bytes: Uint8Array,
  options: ZlibOptions,
  done: (error: Error | null, result: Uint8Array) => void,
) => void;

/** Thrown when there is more in a body than may be read. */
export class UnpackedTooLarge extends Error {}

/**
 * Undoes the `Content-Encoding` of a body. The runtime's own `fetch` unpacks each piece as a whole before anybody can count: a kilobyte of
 * brotli took gigabytes of memory. This stops at `maxBytes`.
 * @throws UnpackedTooLarge; any other error when the bytes are not what the header says
 */
export async function unpackBody(bytes: Uint8Array, encoding: string | null, maxBytes: number): Promise<Uint8Array> {
  const name = encoding?.trim().toLowerCase() ?? "";
  if (bytes.length === 0 || name === "" || name === "identity") return bytes;
  const zlib = await import("node:zlib");
  const unpackers: Record<string, Unpack> = {
    gzip: zlib.gunzip,
    "x-gzip": zlib.gunzip,
    deflate: zlib.inflate,
    br: zlib.brotliDecompress,
  };
  const unpack = Object.hasOwn(unpackers, name) ? unpackers[name] : undefined;
  if (!unpack) throw new Error("an encoding that nobody asked for");
  return new Promise((resolve, reject) => {
    unpack(bytes, { maxOutputLength: maxBytes }, (error, result) => {
      if (error === null) return resolve(result);
      const isTooLarge = (error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE";
      reject(isTooLarge ? new UnpackedTooLarge() : error);
    });
  });
}
