import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CarReader } from "@ipld/car";
import { createBlobStore } from "../../src/devnet/blob-store.ts";
import { expectCode } from "../crypto/expect-code.ts";
import { sampleBytes } from "../ipfs/support.ts";

const root = mkdtempSync(join(tmpdir(), "blf-blobs-"));
const hello = new Uint8Array(Buffer.from("hello world"));
/** Published CIDs of this text. */
const helloRaw = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e";
const helloV0 = "Qmf412jQZiuVUtdgnB36FXFX7xg5V6KEbSJ4dpQuhkLyfD";

afterAll(() => rmSync(root, { recursive: true, force: true }));

function form(file: Uint8Array, fields: Record<string, string> = {}): FormData {
  const data = new FormData();
  data.set("file", new Blob([file as Uint8Array<ArrayBuffer>]), "name.bin");
  for (const [name, value] of Object.entries(fields)) data.set(name, value);
  return data;
}

const bodyOf = async (response: Response) => new Uint8Array(await response.arrayBuffer());

describe("gateway", () => {
  test("a small file is raw, plain or as a block", async () => {
    const { app, put, get } = createBlobStore();
    expect(await put(hello)).toBe(helloRaw);
    expect(get(helloRaw)).toEqual(hello);
    for (const [request, type] of [
      [new Request(`http://x/ipfs/${helloRaw}`), "application/octet-stream"],
      [new Request(`http://x/ipfs/${helloRaw}?format=raw`), "application/vnd.ipld.raw"],
      [
        new Request(`http://x/ipfs/${helloRaw}`, { headers: { Accept: "application/vnd.ipld.raw" } }),
        "application/vnd.ipld.raw",
      ],
    ] as const) {
      const response = await app.fetch(request);
      expect([response.status, response.headers.get("content-type")]).toEqual([200, type]);
      expect(response.headers.get("content-length")).toBe("11");
      expect(await bodyOf(response)).toEqual(hello);
    }
  });

  test("a large file is UnixFS, and its CAR holds all blocks, the root first", async () => {
    const { app, put } = createBlobStore();
    const file = sampleBytes(600_000);
    const cid = await put(file);
    expect(cid).toStartWith("bafybei");
    expect(await bodyOf(await app.request(`/ipfs/${cid}`))).toEqual(file);
    for (const request of [
      new Request(`http://x/ipfs/${cid}?format=car`),
      new Request(`http://x/ipfs/${cid}`, { headers: { Accept: "application/vnd.ipld.car; version=1" } }),
    ]) {
      const response = await app.fetch(request);
      expect(response.headers.get("content-type")).toStartWith("application/vnd.ipld.car");
      const car = await CarReader.fromBytes(await bodyOf(response));
      expect((await car.getRoots()).map(String)).toEqual([cid]);
      const cids: string[] = [];
      for await (const block of car.blocks()) cids.push(block.cid.toString());
      expect([cids[0], cids.length]).toEqual([cid, 4]);
    }
  });

  test("HEAD has the headers and no body", async () => {
    const { app, put } = createBlobStore();
    const response = await app.request(`/ipfs/${await put(hello)}`, { method: "HEAD" });
    expect([response.status, response.headers.get("content-length")]).toEqual([200, "11"]);
    expect((await bodyOf(response)).length).toBe(0);
  });

  test("what it does not have or know", async () => {
    const { app, put, get } = createBlobStore();
    await put(hello);
    expect((await app.request(`/ipfs/${helloV0}`)).status).toBe(404);
    expect((await app.request("/ipfs/nonsense")).status).toBe(400);
    expect((await app.request("/ipfs/..%2f..%2fetc%2fpasswd")).status).toBe(400);
    expect((await app.request(`/ipfs/${helloRaw}?format=tar`)).status).toBe(406);
    expect(get(helloV0)).toBeUndefined();
    await expectCode(() => get("../x"), "CID_INVALID");
  });
});

describe("uploads", () => {
  test.each([
    ["", helloV0],
    ["?cid-version=0", helloV0],
    ["?cid-version=1", helloRaw],
    ["?cid-version=1&raw-leaves=true&pin=true", helloRaw],
    ["?raw-leaves=true", helloRaw],
  ])("as Kubo: /api/v0/add%s", async (query, cid) => {
    const { app, get } = createBlobStore();
    const response = await app.request(`/api/v0/add${query}`, { method: "POST", body: form(hello) });
    expect(await response.json()).toEqual({ Name: "name.bin", Hash: cid, Size: "11" });
    expect(get(cid)).toEqual(hello);
  });

  test("as Kubo: version 1 without raw leaves, which its CAR keeps", async () => {
    const { app } = createBlobStore();
    const response = await app.request("/api/v0/add?cid-version=1&raw-leaves=false", {
      method: "POST",
      body: form(hello),
    });
    const { Hash } = (await response.json()) as { Hash: string };
    expect(Hash).toStartWith("bafybei");
    const car = await CarReader.fromBytes(await bodyOf(await app.request(`/ipfs/${Hash}?format=car`)));
    expect((await car.getRoots()).map(String)).toEqual([Hash]);
  });

  test.each([
    "?cid-version=2",
    "?cid-version=0&raw-leaves=true",
    "?raw-leaves=maybe",
  ])("as Kubo: %s is refused", async (query) => {
    const { app } = createBlobStore();
    expect((await app.request(`/api/v0/add${query}`, { method: "POST", body: form(hello) })).status).toBe(400);
  });

  test("as Pinata, with any bearer token", async () => {
    const { app } = createBlobStore();
    const pin = (body: FormData, authorization?: string) =>
      app.request("/pinning/pinFileToIPFS", {
        method: "POST",
        body,
        headers: authorization ? { Authorization: authorization } : {},
      });
    expect((await pin(form(hello))).status).toBe(401);
    expect((await pin(form(hello), "Bearer ")).status).toBe(401);
    expect(await (await pin(form(hello), "Bearer x")).json()).toMatchObject({ IpfsHash: helloV0, PinSize: 11 });
    const version1 = form(hello, { pinataOptions: '{"cidVersion":1}' });
    expect(await (await pin(version1, "Bearer x")).json()).toMatchObject({ IpfsHash: helloRaw });
  });

  test("no file, two files, no form, too many bytes", async () => {
    const { app, put } = createBlobStore({ maxBytes: 1000 });
    const two = form(hello);
    two.set("second", new Blob([hello]), "second.bin");
    const post = async (body: FormData | string | Uint8Array<ArrayBuffer>) =>
      (await app.request("/api/v0/add", { method: "POST", body })).status;
    expect(await post(new FormData())).toBe(400);
    expect(await post(two)).toBe(400);
    expect(await post("text")).toBe(400);
    expect(await post(form(sampleBytes(1000)))).toBe(200);
    expect(await post(form(sampleBytes(1001)))).toBe(413);
    expect(await post(form(sampleBytes(100_000)))).toBe(413);
    await expectCode(() => put(sampleBytes(1001)), "IPFS_BODY_TOO_LARGE");
  });
});

describe("a store in a directory", () => {
  test("is there after a restart, readable by its owner only, one file per CID", async () => {
    const directory = join(root, "kept");
    const file = sampleBytes(600_000);
    const first = createBlobStore({ directory });
    const cids = [await first.put(hello), await first.put(file), await first.put(hello)];
    const second = createBlobStore({ directory });
    expect(second.get(helloRaw)).toEqual(hello);
    expect(Buffer.from(second.get(cids[1]!)!).equals(file)).toBe(true);
    expect(readdirSync(directory).sort()).toEqual([...new Set(cids)].sort());
    expect(statSync(join(directory, helloRaw)).mode & 0o777).toBe(0o600);
  });

  test("does not vouch for a file that was damaged", async () => {
    const directory = join(root, "damaged");
    const { app, put } = createBlobStore({ directory });
    const cid = await put(sampleBytes(600_000));
    writeFileSync(join(directory, cid), "damaged");
    writeFileSync(join(directory, helloRaw), "damaged");
    expect((await app.request(`/ipfs/${cid}?format=car`)).status).toBe(500);
    expect((await app.request(`/ipfs/${helloRaw}?format=raw`)).status).toBe(500);
  });
});
