import { type ImporterOptions, importBytes } from "ipfs-unixfs-importer";
import { fixedSize } from "ipfs-unixfs-importer/chunker";
import { balanced } from "ipfs-unixfs-importer/layout";
import type { CID } from "multiformats/cid";
import type { ContentId } from "./cid.ts";

/** How a file is cut into blocks. */
export type Layout = {
  cidVersion: 0 | 1;
  rawLeaves: boolean;
  chunkBytes: number;
  /** Most links of one node. */
  width: number;
  /** Whether a file of one chunk is one block. */
  reduceSingleLeaf: boolean;
};

export type Block = { cid: CID; bytes: Uint8Array };

const kibi = 1024;
const classic = { chunkBytes: 256 * kibi, width: 174, reduceSingleLeaf: true };

/** `ipfs add` of Kubo with CID version 0, and Pinata by default. */
export const layoutV0: Layout = { ...classic, cidVersion: 0, rawLeaves: false };
/** `ipfs add --cid-version=1` of Kubo. */
export const layoutV1: Layout = { ...classic, cidVersion: 1, rawLeaves: true };

/** From the most to the least common. The profile of 2025 has 1 MiB chunks and 1024 links. */
const commonLayouts: Layout[] = [
  layoutV0,
  { ...layoutV0, chunkBytes: 1024 * kibi },
  layoutV1,
  { ...layoutV1, chunkBytes: 1024 * kibi, width: 1024 },
  { ...layoutV1, rawLeaves: false },
  { ...layoutV1, chunkBytes: 1024 * kibi },
  { ...layoutV1, reduceSingleLeaf: false },
  { ...layoutV1, rawLeaves: false, chunkBytes: 1024 * kibi },
];

/** The root of a file in this layout; `onBlock` receives every block, the root last. */
export async function buildFile(
  bytes: Uint8Array,
  layout: Layout,
  onBlock: (block: Block) => void = () => {},
): Promise<CID> {
  const options: ImporterOptions = {
    cidVersion: layout.cidVersion,
    rawLeaves: layout.rawLeaves,
    reduceSingleLeafToSelf: layout.reduceSingleLeaf,
    chunker: fixedSize({ chunkSize: layout.chunkBytes }),
    layout: balanced({ maxChildrenPerNode: layout.width }),
  };
  const put = async (cid: CID, block: Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>) => {
    onBlock({ cid, bytes: block as Uint8Array });
    return cid;
  };
  return (await importBytes(bytes, { put } as Parameters<typeof importBytes>[1], options)).cid;
}

/** The common layout in which these bytes have this CID, or undefined. */
export async function findLayout(id: ContentId, bytes: Uint8Array): Promise<Layout | undefined> {
  for (const layout of commonLayouts) {
    if (layout.cidVersion !== id.version) continue;
    if ((await buildFile(bytes, layout)).equals(id.cid)) return layout;
  }
  return undefined;
}
