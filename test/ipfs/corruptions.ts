import { writeCar } from "../../src/devnet/blob-store/car.ts";
import type { Block } from "../../src/ipfs/unixfs.ts";
import type { Prng } from "../sim/prng.ts";
import { byteCorruptions, type Chance, type Corruption, flipped, isArchive, isPacked } from "./byte-corruptions.ts";
import type { Reply } from "./honest-replies.ts";

const wholeCorruptions: Corruption[] = [
  {
    name: "another file",
    fits: () => true,
    chance: () => "never",
    apply: ({ form, cid }, prng, others) =>
      prng.pick(others.filter((other) => other.form === form && other.cid !== cid)),
  },
  {
    name: "another file as an archive",
    fits: (reply) => reply.form === "plain",
    chance: () => "never",
    apply: (_, prng, others) => prng.pick(others.filter(isArchive)),
  },
  {
    name: "the archive said to be the file",
    fits: (reply) => reply.form === "plain",
    chance: () => "never",
    apply: ({ root, blocks, headers }) => ({ body: writeCar(root, blocks), headers }),
  },
  {
    name: "the file said to be an archive",
    fits: (reply) => reply.form === "plain",
    chance: () => "never",
    apply: ({ body, headers }) => ({ body, headers: { ...headers, "Content-Type": "application/vnd.ipld.car" } }),
  },
];

const foreign = (prng: Prng, others: readonly Reply[]) => prng.pick(prng.pick(others.filter(isArchive)).blocks);

function ofBlocks(
  name: string,
  chance: Chance,
  change: (blocks: Block[], prng: Prng, others: readonly Reply[]) => Block[],
) {
  return {
    name,
    fits: (reply: Reply) => isArchive(reply) && !isPacked(reply) && reply.blocks.length > 1,
    chance: () => chance,
    apply: ({ root, blocks, headers }: Reply, prng: Prng, others: readonly Reply[]) => ({
      body: writeCar(root, change(blocks, prng, others)),
      headers,
    }),
  } satisfies Corruption;
}

const blockCorruptions: Corruption[] = [
  ofBlocks("two blocks under each other's names", "never", (blocks, prng) => {
    const first = prng.int(0, blocks.length - 1);
    const second = (first + prng.int(1, blocks.length - 1)) % blocks.length;
    const [a, b] = [blocks[first]!, blocks[second]!];
    return blocks.with(first, { ...a, bytes: b.bytes }).with(second, { ...b, bytes: a.bytes });
  }),
  ofBlocks("a block left out", "never", (blocks, prng) => blocks.toSpliced(prng.int(0, blocks.length - 1), 1)),
  ofBlocks("a block with other bytes", "never", (blocks, prng) => {
    const index = prng.int(0, blocks.length - 1);
    const { cid, bytes } = blocks[index]!;
    return blocks.with(index, { cid, bytes: flipped(bytes, 1, prng) });
  }),
  ofBlocks("a block of another file in place of one", "never", (blocks, prng, others) => {
    const index = prng.int(0, blocks.length - 1);
    return blocks.with(index, { cid: blocks[index]!.cid, bytes: foreign(prng, others).bytes });
  }),
  ofBlocks("a wrong block before the right one of its name", "never", (blocks, prng) => {
    const { cid, bytes } = prng.pick(blocks);
    return [{ cid, bytes: flipped(bytes, 1, prng) }, ...blocks];
  }),
  ofBlocks("a wrong block after the right one of its name", "always", (blocks, prng) => {
    const { cid, bytes } = prng.pick(blocks);
    return [...blocks, { cid, bytes: flipped(bytes, 1, prng) }];
  }),
  ofBlocks("in another order", "always", (blocks, prng) => {
    const cut = prng.int(1, blocks.length - 1);
    return [...blocks.slice(cut), ...blocks.slice(0, cut)];
  }),
  ofBlocks("a block more", "always", (blocks, prng, others) => [...blocks, foreign(prng, others)]),
  {
    name: "wrong root",
    fits: (reply) => isArchive(reply) && !isPacked(reply),
    chance: () => "always",
    apply: ({ blocks, headers }, prng, others) => ({ body: writeCar(foreign(prng, others).cid, blocks), headers }),
  },
];

export const corruptions: readonly Corruption[] = [...byteCorruptions, ...wholeCorruptions, ...blockCorruptions];
