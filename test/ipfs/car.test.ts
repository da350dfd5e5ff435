import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { encode, type PBLink } from "@ipld/dag-pb";
import { UnixFS } from "ipfs-unixfs";
import { CID } from "multiformats/cid";
import { create } from "multiformats/hashes/digest";
import { writeCar } from "../../src/devnet/blob-store/car.ts";
import { readFileFromCar } from "../../src/ipfs/car.ts";
import { contentId } from "../../src/ipfs/cid.ts";
import { type Block, buildFile, layoutV0, layoutV1 } from "../../src/ipfs/unixfs.ts";
import { expectCode } from "../crypto/expect-code.ts";
import { sampleBytes } from "./support.ts";

const small = { ...layoutV1, chunkBytes: 100 };
const limit = 1024 * 1024;

async function fileBlocks(bytes: Uint8Array, layout = small) {
  const blocks: Block[] = [];
  const root = await buildFile(bytes, layout, (block) => blocks.push(block));
  return { id: contentId(root), root, blocks };
}

function block(codec: number, bytes: Uint8Array): Block {
  return { cid: CID.createV1(codec, create(0x12, createHash("sha256").update(bytes).digest())), bytes };
}

const rawBlock = (bytes: Uint8Array) => block(0x55, bytes);

type UnixFSType = "file" | "directory" | "hamt-sharded-directory" | "symlink";

/** A UnixFS node over children, which says that they have these sizes. */
function fileNode(
  children: { cid: CID; size: bigint }[],
  options: { data?: Uint8Array; type?: UnixFSType } = {},
): Block {
  const file = new UnixFS({ type: options.type ?? "file", ...(options.data ? { data: options.data } : {}) });
  for (const { size } of children) file.addBlockSize(size);
  const Links = children.map(({ cid }): PBLink => ({ Name: "", Tsize: 1, Hash: cid }));
  return block(0x70, encode({ Data: file.marshal(), Links }));
}

const read = (root: Block, blocks: Block[], maxBytes = limit) =>
  readFileFromCar(contentId(root.cid), writeCar(root.cid, blocks), maxBytes);

describe("a file out of a CAR", () => {
  test.each([
    ["one block", 50, small],
    ["several blocks", 1234, small],
    ["several levels", 40_000, small],
    ["version 0", 600_000, layoutV0],
    ["version 1", 600_000, layoutV1],
    ["wrapped leaves", 2000, { ...small, rawLeaves: false }],
    ["no byte", 0, layoutV0],
  ])("%s", async (_name, length, layout) => {
    const bytes = sampleBytes(length);
    const { id, root, blocks } = await fileBlocks(bytes, layout);
    const car = writeCar(root, blocks);
    expect(Buffer.from(await readFileFromCar(id, car, limit)).equals(bytes)).toBe(true);
  });

  test("the order, the roots, double and unrelated blocks do not matter", async () => {
    const bytes = sampleBytes(1234);
    const { id, blocks } = await fileBlocks(bytes);
    const other = rawBlock(sampleBytes(99));
    const car = writeCar(other.cid, [other, ...blocks.toReversed(), ...blocks]);
    expect(await readFileFromCar(id, car, limit)).toEqual(bytes);
  });

  test("a block that is used twice counts twice", async () => {
    const leaf = rawBlock(Uint8Array.of(1, 2, 3));
    const child = { cid: leaf.cid, size: 3n };
    const root = fileNode([child, child]);
    expect(await read(root, [root, leaf])).toEqual(Uint8Array.of(1, 2, 3, 1, 2, 3));
  });
});

describe("a CAR that lies", () => {
  test("a wrong block anywhere", async () => {
    const { id, root, blocks } = await fileBlocks(sampleBytes(550));
    for (const [index, { cid, bytes }] of blocks.entries()) {
      const changed = bytes.slice();
      changed[index % bytes.length]! ^= 1;
      const car = writeCar(root, blocks.with(index, { cid, bytes: changed }));
      await expectCode(() => readFileFromCar(id, car, limit), "CID_MISMATCH");
    }
  });

  test("a missing block anywhere", async () => {
    const { id, root, blocks } = await fileBlocks(sampleBytes(550));
    for (const index of blocks.keys()) {
      const car = writeCar(root, blocks.toSpliced(index, 1));
      await expectCode(() => readFileFromCar(id, car, limit), "CAR_BLOCK_MISSING");
    }
  });

  test("every flipped byte and every cut gives the file itself or an error of ours", async () => {
    const bytes = sampleBytes(250);
    const { id, root, blocks } = await fileBlocks(bytes);
    const car = writeCar(root, blocks);
    const outcomes = new Set<string>();
    const attempt = async (changed: Uint8Array) => {
      try {
        expect(await readFileFromCar(id, changed, limit)).toEqual(bytes);
        outcomes.add("the file");
      } catch (error) {
        const { code } = error as { code?: string };
        expect(["CAR_INVALID", "CAR_BLOCK_MISSING", "CID_MISMATCH"]).toContain(code ?? String(error));
        outcomes.add(code!);
      }
    };
    for (let index = 0; index < car.length; index++) {
      await attempt(car.slice(0, index));
      for (const bit of [1, 0x80]) {
        const changed = car.slice();
        changed[index]! ^= bit;
        await attempt(changed);
      }
    }
    expect(outcomes.has("CID_MISMATCH")).toBe(true);
  });

  test.each([
    ["nothing", new Uint8Array()],
    ["HTML", new TextEncoder().encode("<html><body>404</body></html>")],
    ["noise", sampleBytes(3000)],
    ["a length beyond everything", Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 127)],
  ])("%s is no CAR", async (_name, car) => {
    const { id } = await fileBlocks(sampleBytes(550));
    await expectCode(() => readFileFromCar(id, car, limit), "CAR_INVALID");
  });
});

describe("a DAG that is built to do harm", () => {
  /** Each level links twice to the one below. */
  function doubling(leaf: Block, leafSize: bigint, levels: number): Block[] {
    const blocks = [leaf];
    let size = leafSize;
    for (let level = 0; level < levels; level++) {
      const child = { cid: blocks[0]!.cid, size };
      blocks.unshift(fileNode([child, child]));
      size *= 2n;
    }
    return blocks;
  }

  test("a kilobyte that unfolds to a gigabyte stops at the limit", async () => {
    const blocks = doubling(rawBlock(sampleBytes(1000)), 1000n, 20);
    await expectCode(() => read(blocks[0]!, blocks, 100_000), "IPFS_BODY_TOO_LARGE");
  });

  test("a tree of empty leaves ends, and so does a deep chain", async () => {
    const tree = doubling(fileNode([]), 0n, 28);
    await expectCode(() => read(tree[0]!, tree, 10_000), "CAR_INVALID");
    const chain = [rawBlock(Uint8Array.of(7))];
    for (let level = 0; level < 50; level++) chain.unshift(fileNode([{ cid: chain[0]!.cid, size: 1n }]));
    await expectCode(() => read(chain[0]!, chain), "CAR_INVALID");
  });

  test("more blocks than the file could have", async () => {
    const leaf = rawBlock(Uint8Array.of(1));
    const many = Array.from({ length: 200 }, (_, index) => rawBlock(Uint8Array.of(index, 1)));
    await expectCode(() => read(leaf, [leaf, ...many], 1024), "CAR_INVALID");
  });

  test.each([0n, 2n, 4n, 2n ** 60n])("sizes that do not add up: %d instead of 3", async (size) => {
    const leaf = rawBlock(Uint8Array.of(1, 2, 3));
    const root = fileNode([{ cid: leaf.cid, size }]);
    await expectCode(() => read(root, [root, leaf]), "CAR_INVALID");
  });

  test("directories, links and nodes that are no UnixFS", async () => {
    const leaf = rawBlock(Uint8Array.of(1));
    for (const root of [
      fileNode([], { type: "directory" }),
      fileNode([], { type: "hamt-sharded-directory" }),
      fileNode([], { type: "symlink", data: Buffer.from("/etc/passwd") }),
      block(0x70, encode({ Links: [] })),
      block(0x70, encode({ Data: Uint8Array.of(255, 255), Links: [] })),
      block(0x70, Uint8Array.of(255, 255, 255)),
    ])
      await expectCode(() => read(root, [root, leaf]), "CID_NOT_A_FILE");
  });

  test("a link to an inline or otherwise hashed block", async () => {
    const inline = CID.createV1(0x55, create(0, Uint8Array.of(1)));
    const root = fileNode([{ cid: inline, size: 1n }]);
    await expectCode(() => read(root, [root]), "CID_UNSUPPORTED");
  });
});
