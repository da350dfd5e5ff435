import { CID } from "multiformats/cid";
import { BlfError } from "../lib/errors.ts";

const codecs = { 85: "raw", 112: "dag-pb" } as const;
const sha256Code = 0x12;
const sha256Bytes = 32;
/** No CID that we accept is longer in any base. */
const maximumTextLength = 128;

export type BlockCodec = (typeof codecs)[keyof typeof codecs];

/** A CID of a kind that we can verify: its digest is SHA-256, its block raw bytes or a dag-pb node. */
export type ContentId = {
  /** Canonical text. It may be spelled otherwise than what was parsed. */
  text: string;
  version: 0 | 1;
  codec: BlockCodec;
  cid: CID;
};

/**
 * Reads a CID: version 0, or version 1 in base32, base36 or base58.
 * @throws BlfError `CID_INVALID`, `CID_UNSUPPORTED`
 */
export function parseCid(text: string): ContentId {
  if (text.length > maximumTextLength) throw invalidCid();
  let cid: CID;
  try {
    cid = CID.parse(text);
  } catch {
    throw invalidCid();
  }
  return contentId(cid);
}

/**
 * Whether a CID is of a kind that we can verify; an inline ("identity") CID and other hash functions are not.
 * @throws BlfError `CID_UNSUPPORTED`
 */
export function contentId(cid: CID): ContentId {
  const codec = (codecs as Record<number, BlockCodec | undefined>)[cid.code];
  const verifiable = cid.multihash.code === sha256Code && cid.multihash.digest.length === sha256Bytes;
  if (!verifiable || codec === undefined)
    throw new BlfError({
      code: "CID_UNSUPPORTED",
      message: "The CID is of a kind that cannot be verified here",
      hint: "Upload with SHA-256, as raw bytes or as a UnixFS file (the default of Kubo and Pinata).",
    });
  return { text: cid.toString(), version: cid.version, codec, cid };
}

/** Whether a block's bytes have the digest of the CID. */
export async function blockMatches(id: ContentId, bytes: Uint8Array): Promise<boolean> {
  const digest = await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>);
  return Buffer.from(id.cid.multihash.digest).equals(new Uint8Array(digest));
}

/**
 * Whether these are the bytes of the file that the CID names. For a UnixFS file all common ways to cut it are tried, since
 * the CID depends on them; `false` then also means that it was cut in an unusual way.
 */
export async function bytesMatch(id: ContentId, bytes: Uint8Array): Promise<boolean> {
  if (id.codec === "raw") return blockMatches(id, bytes);
  const { findLayout } = await import("./unixfs.ts");
  return (await findLayout(id, bytes)) !== undefined;
}

export function cidMismatch(): BlfError {
  return new BlfError({
    code: "CID_MISMATCH",
    message: "The bytes are not those that the CID names",
    hint: "The gateway is broken or lies: use another one.",
  });
}

export function fileTooLarge(maxBytes: number): BlfError {
  return new BlfError({
    code: "IPFS_BODY_TOO_LARGE",
    message: `The file has more than ${maxBytes} bytes`,
    hint: "The sender has to use a shorter text.",
  });
}

function invalidCid(): BlfError {
  return new BlfError({
    code: "CID_INVALID",
    message: "The text is not a CID",
    hint: "A CID looks like bafkrei… or Qm….",
  });
}
