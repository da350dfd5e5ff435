import { CarBufferWriter } from "@ipld/car";
import type { CID } from "multiformats/cid";
import type { Block } from "../../ipfs/unixfs.ts";

/** A CAR (version 1) with one root and these blocks in this order. */
export function writeCar(root: CID, blocks: Block[]): Uint8Array {
  const header = CarBufferWriter.headerLength({ roots: [root] });
  const length = blocks.reduce((sum, block) => sum + CarBufferWriter.blockLength(block), header);
  const writer = CarBufferWriter.createWriter(new ArrayBuffer(length), { roots: [root], headerSize: header });
  for (const block of blocks) writer.write(block);
  return writer.close();
}
