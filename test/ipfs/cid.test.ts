import { describe, expect, test } from "bun:test";
import { blockMatches, bytesMatch, parseCid } from "../../src/ipfs/cid.ts";
import { buildFile, layoutV0, layoutV1 } from "../../src/ipfs/unixfs.ts";
import { expectCode } from "../crypto/expect-code.ts";
import { sampleBytes } from "./support.ts";

/** CIDs that are published for these texts. */
const published = {
  emptyRaw: "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
  emptyV0: "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH",
  helloRaw: "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e",
  helloV0: "Qmf412jQZiuVUtdgnB36FXFX7xg5V6KEbSJ4dpQuhkLyfD",
};
const hello = new TextEncoder().encode("hello world");

describe("parseCid", () => {
  test("reads what the network uses", () => {
    expect(parseCid(published.helloRaw)).toMatchObject({ text: published.helloRaw, version: 1, codec: "raw" });
    expect(parseCid(published.helloV0)).toMatchObject({ text: published.helloV0, version: 0, codec: "dag-pb" });
    const dagPb = parseCid(published.helloV0).cid.toV1();
    expect(parseCid(dagPb.toString())).toMatchObject({ version: 1, codec: "dag-pb" });
  });

  test.each([
    "",
    "bafkreigh2akiscaildc",
    "Qm",
    `Qm${"0".repeat(44)}`,
    `${published.helloRaw}/file`,
    `../${published.helloRaw}`,
    ` ${published.helloRaw}`,
    "b".repeat(5000),
  ])("%# is not a CID", async (text) => {
    await expectCode(() => parseCid(text), "CID_INVALID");
  });

  test.each([
    ["an inline CID", "bafkqablimvwgy3y"],
    ["dag-cbor", "bafyreibnoelefnzgwbcacyt4vh52ymxvzbjq7mmqhtcnwarfq4lzegsiqe"],
    ["a cut digest", "bafkreedinbugq2dinbugq2dinbugq2di"],
    [
      "SHA-512",
      "bafkrgqfevpkejdcjkywyfaiv2e5b7thksj7vfngviwjjp6fuhzbnvcjdrpatmjxehxftrxnqqjeisj7msbh3iicxiq4yh2efqulz2ucvdl7ge",
    ],
  ])("%s is not supported", async (_name, text) => {
    const error = await expectCode(() => parseCid(text), "CID_UNSUPPORTED");
    expect(error.retryable).toBe(false);
  });
});

describe("bytesMatch", () => {
  test("the published CIDs", async () => {
    for (const [name, cid] of Object.entries(published)) {
      const bytes = name.startsWith("empty") ? new Uint8Array() : hello;
      expect([name, await bytesMatch(parseCid(cid), bytes)]).toEqual([name, true]);
      expect([name, await bytesMatch(parseCid(cid), new TextEncoder().encode("hello worle"))]).toEqual([name, false]);
    }
  });

  test("no changed byte, no cut and no addition matches a raw CID", async () => {
    const bytes = sampleBytes(64);
    const id = parseCid((await buildFile(bytes, layoutV1)).toString());
    expect(await blockMatches(id, bytes)).toBe(true);
    for (let index = 0; index < bytes.length; index++) {
      const changed = bytes.slice();
      changed[index]! ^= 0x80;
      expect(await bytesMatch(id, changed)).toBe(false);
    }
    expect(await bytesMatch(id, bytes.slice(1))).toBe(false);
    expect(await bytesMatch(id, new Uint8Array([...bytes, 0]))).toBe(false);
  });

  const mebi = 1024 * 1024;
  test.each([
    layoutV0,
    { ...layoutV0, chunkBytes: mebi },
    layoutV1,
    { ...layoutV1, rawLeaves: false },
    { ...layoutV1, chunkBytes: mebi, width: 1024 },
  ])("a file of several blocks, cut in a usual way: %o", async (layout) => {
    const bytes = sampleBytes(2 * mebi + 17);
    const id = parseCid((await buildFile(bytes, layout)).toString());
    expect(id.codec).toBe("dag-pb");
    expect(await bytesMatch(id, bytes)).toBe(true);
    bytes[mebi]! ^= 1;
    expect(await bytesMatch(id, bytes)).toBe(false);
  });

  test("a file cut in an unusual way cannot be confirmed from its bytes alone", async () => {
    const bytes = sampleBytes(5000);
    const id = parseCid((await buildFile(bytes, { ...layoutV1, chunkBytes: 999 })).toString());
    expect(await bytesMatch(id, bytes)).toBe(false);
  });
});
