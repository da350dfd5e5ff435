import { CarBlockIterator } from "@ipld/car/iterator";
import { decode, type PBNode } from "@ipld/dag-pb";
import { UnixFS } from "ipfs-unixfs";
import type { CID } from "multiformats/cid";
import { BlfError } from "../lib/errors.ts";
import { blockMatches, type ContentId, cidMismatch, contentId, fileTooLarge } from "./cid.ts";

/** A file of this many levels has more bytes than anybody can send. */
const maximumDepth = 32;
/** Leaves are rarely below this size; bounds the work that a DAG of tiny or repeated blocks can make. */
const smallestUsualBlock = 256;

/**
 * The file that `id` names, out of a CAR. Every block is hashed before it is read, the CAR's own roots and order do not
 * matter, and blocks that the file does not refer to are ignored. (The usual exporter is not used here: on a missing block
 * it leaves a rejection behind that nobody handles, and on sizes that do not add up it waits for ever.)
 * @throws BlfError `CAR_INVALID`, `CAR_BLOCK_MISSING`, `CID_MISMATCH`, `CID_NOT_A_FILE`, `CID_UNSUPPORTED`, `IPFS_BODY_TOO_LARGE`
 */
export async function readFileFromCar(id: ContentId, car: Uint8Array, maxBytes: number): Promise<Uint8Array> {
  const maximumBlocks = 64 + Math.ceil(maxBytes / smallestUsualBlock);
  const blocks = await readBlocks(car, maximumBlocks);
  const verified = new Set<string>();
  const chunks: Uint8Array[] = [];
  let [length, visits] = [0, 0];

  const append = (data: Uint8Array | undefined) => {
    if (data === undefined) return;
    length += data.length;
    if (length > maxBytes) throw fileTooLarge(maxBytes);
    chunks.push(data);
  };

  const walk = async (block: ContentId, depth: number): Promise<void> => {
    if (++visits > maximumBlocks || depth > maximumDepth) throw invalidCar("it is built to keep its reader busy");
    const bytes = await verifiedBlock(blocks, verified, block);
    if (block.codec === "raw") return append(bytes);
    const { node, file } = decodeFile(bytes);
    const before = length;
    append(file.data);
    for (const link of node.Links) await walk(contentId(link.Hash), depth + 1);
    if (file.fileSize() !== BigInt(length - before)) throw invalidCar("the sizes in it do not add up");
  };

  await walk(id, 0);
  return new Uint8Array(Buffer.concat(chunks));
}

/** Blocks by digest. The first one of a digest counts; a wrong one is found when it is used. */
async function readBlocks(car: Uint8Array, maximumBlocks: number): Promise<Map<string, Uint8Array>> {
  const blocks = new Map<string, Uint8Array>();
  try {
    let count = 0;
    for await (const { cid, bytes } of await CarBlockIterator.fromBytes(car)) {
      if (++count > maximumBlocks) throw invalidCar("it has far too many blocks");
      const key = digestKey(cid);
      if (!blocks.has(key)) blocks.set(key, bytes);
    }
    return blocks;
  } catch (error) {
    throw error instanceof BlfError ? error : invalidCar("it cannot be read");
  }
}

async function verifiedBlock(
  blocks: Map<string, Uint8Array>,
  verified: Set<string>,
  id: ContentId,
): Promise<Uint8Array> {
  const key = digestKey(id.cid);
  const bytes = blocks.get(key);
  if (bytes === undefined)
    throw new BlfError({
      code: "CAR_BLOCK_MISSING",
      message: "The gateway left out a block of the file",
      hint: "Another gateway may have it.",
      retryable: true,
    });
  if (!verified.has(key)) {
    if (!(await blockMatches(id, bytes))) throw cidMismatch();
    verified.add(key);
  }
  return bytes;
}

function decodeFile(bytes: Uint8Array): { node: PBNode; file: UnixFS } {
  let [node, file]: [PBNode | undefined, UnixFS | undefined] = [undefined, undefined];
  try {
    node = decode(bytes);
    // No data would read as a file of no bytes, since protobuf fills in defaults.
    if (!node.Data?.length) throw notAFile();
    file = UnixFS.unmarshal(node.Data);
  } catch {
    throw notAFile();
  }
  if (file.type !== "file" && file.type !== "raw") throw notAFile();
  return { node, file };
}

function digestKey(cid: CID): string {
  return Buffer.from(cid.multihash.bytes).toString("base64");
}

function notAFile(): BlfError {
  return new BlfError({
    code: "CID_NOT_A_FILE",
    message: "The CID names something else than a file",
    hint: "The sender has to upload the encrypted text as one file.",
  });
}

function invalidCar(reason: string): BlfError {
  return new BlfError({
    code: "CAR_INVALID",
    message: `The gateway sent an archive of blocks that is not valid: ${reason}`,
    hint: "The gateway is broken or lies: use another one.",
  });
}
