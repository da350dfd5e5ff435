import { gzipSync } from "node:zlib";
import type { CID } from "multiformats/cid";
import { writeCar } from "../../src/devnet/blob-store/car.ts";
import { type Block, buildFile, type Layout, layoutV0, layoutV1 } from "../../src/ipfs/unixfs.ts";
import { sampleBytes } from "./support.ts";

/** What a gateway sends: the block itself, the file of a dag-pb CID as it is, or an archive of its blocks. */
export type Form = "raw" | "plain" | "car";

export type Reply = {
  name: string;
  form: Form;
  cid: string;
  /** What a download has to give. */
  file: Uint8Array;
  body: Uint8Array;
  headers: Record<string, string>;
  root: CID;
  blocks: Block[];
};

const types: Record<Form, string> = {
  raw: "application/vnd.ipld.raw",
  plain: "application/octet-stream",
  car: "application/vnd.ipld.car; version=1",
};

const wrapped: Layout = { ...layoutV1, rawLeaves: false };

/** True answers of every form, of files that are small but have several blocks and levels. Every file is another one. */
export async function honestReplies(): Promise<Reply[]> {
  const plans: [Form, number, Layout][] = [
    ["raw", 1, layoutV1],
    ["raw", 300, layoutV1],
    ["raw", 3000, layoutV1],
    ["plain", 90, layoutV0],
    ["plain", 2100, layoutV0],
    ["plain", 310, wrapped],
    ["plain", 320, { ...layoutV1, reduceSingleLeaf: false }],
    ["car", 80, layoutV0],
    ["car", 1230, { ...layoutV1, chunkBytes: 100 }],
    ["car", 1240, { ...layoutV1, chunkBytes: 100, width: 3 }],
    ["car", 1250, { ...wrapped, chunkBytes: 150, width: 4 }],
    ["car", 1260, { ...layoutV0, chunkBytes: 200, width: 2 }],
  ];
  const replies: Reply[] = [];
  for (const [form, length, layout] of plans) replies.push(await honestReply(form, sampleBytes(length), layout));
  // Unpacked before it is looked at, so that a packed lie is a case of its own.
  const [raw, car] = [replies[1]!, replies[9]!];
  for (const reply of [raw, car])
    replies.push({
      ...reply,
      name: `${reply.name}, packed`,
      body: new Uint8Array(gzipSync(reply.body)),
      headers: { ...reply.headers, "Content-Encoding": "gzip" },
    });
  return replies;
}

export async function honestReply(form: Form, file: Uint8Array, layout: Layout): Promise<Reply> {
  const blocks: Block[] = [];
  const root = await buildFile(file, layout, (block) => blocks.push(block));
  return {
    name: `${form} of ${file.length} bytes`,
    form,
    cid: root.toString(),
    file,
    body: form === "car" ? writeCar(root, blocks) : file,
    headers: { "Content-Type": types[form] },
    root,
    blocks,
  };
}
