import { describe, expect, test } from "bun:test";
import { writeCar } from "../../src/devnet/blob-store/car.ts";
import { createBlobStore } from "../../src/devnet/blob-store.ts";
import { createDownloader, type DownloaderOptions } from "../../src/ipfs/download.ts";
import { gatewayUrl } from "../../src/ipfs/gateway.ts";
import { redirectRefused } from "../../src/ipfs/redirect.ts";
import { type Block, buildFile, layoutV0, layoutV1 } from "../../src/ipfs/unixfs.ts";
import { createDirectFetch } from "../../src/lib/direct-fetch.ts";
import { BlfError } from "../../src/lib/errors.ts";
import { expectCode } from "../crypto/expect-code.ts";
import { manualClock } from "../helpers/manual-clock.ts";
import { cert, key } from "../lib/tls.ts";
import { endlessBody, sampleBytes, serve, silentLog, stalledBody, type TestServer } from "./support.ts";

const bytes = sampleBytes(100);
const rawCid = (await buildFile(bytes, layoutV1)).toString();
const v0Cid = (await buildFile(bytes, layoutV0)).toString();
const carType = { "Content-Type": "application/vnd.ipld.car; version=1" };

function downloader(gateways: (TestServer | string)[], options: Partial<DownloaderOptions> = {}) {
  const urls = gateways.map((gateway) => (typeof gateway === "string" ? gateway : gateway.url));
  return createDownloader({ fetch, gateways: urls, log: silentLog, timeoutMs: 5_000, ...options });
}

/** The reason why a lone gateway was not believed, after the final error was checked. */
async function reasonOf(
  handler: (request: Request) => Response,
  cid = rawCid,
  options: Partial<DownloaderOptions> = {},
) {
  using server = serve(handler);
  const error = await expectCode(() => downloader([server], options).download(cid), "IPFS_UNAVAILABLE");
  expect(error.retryable).toBe(true);
  expect(error.exitCode).toBe(75);
  return error.message.split(`${server.url} `)[1];
}

describe("download", () => {
  test.each([0, 1, 100, 262_144, 262_145, 2_000_000])("%d bytes from a gateway that speaks CAR", async (length) => {
    const store = createBlobStore();
    using server = serve((request) => store.app.fetch(request));
    const file = sampleBytes(length);
    for (const cid of [await store.put(file), await uploadV0(server, file)]) {
      const downloaded = await downloader([server]).download(cid);
      expect(Buffer.from(downloaded).equals(file)).toBe(true);
    }
  });

  test.each([rawCid, v0Cid])("from a gateway that sends everything plain: %s", async (cid) => {
    using server = serve(() => new Response(bytes));
    expect(await downloader([server]).download(cid)).toEqual(bytes);
    expect(server.requests).toHaveLength(1);
  });

  test.each([400, 403, 405, 406, 415, 501])("from a gateway that answers %d to the form asked for", async (status) => {
    using server = serve((request) =>
      new URL(request.url).search === "" ? new Response(bytes) : new Response("unsupported", { status }),
    );
    expect(await downloader([server]).download(rawCid)).toEqual(bytes);
    expect(await downloader([server]).download(v0Cid)).toEqual(bytes);
  });

  test("asks for a raw block, or for an archive of blocks", async () => {
    using server = serve(() => new Response(bytes));
    await downloader([server]).download(rawCid);
    await downloader([server]).download(v0Cid);
    const asked = server.requests.map(({ url, headers }) => [
      url.slice(server.url.length),
      headers.get("accept")!.split(",")[0],
    ]);
    expect(asked).toEqual([
      [`/ipfs/${rawCid}?format=raw`, "application/vnd.ipld.raw"],
      [`/ipfs/${v0Cid}?format=car`, "application/vnd.ipld.car"],
    ]);
  });

  test("an archive in an unusual layout, which plain bytes could not prove", async () => {
    const file = sampleBytes(5000);
    const blocks: Block[] = [];
    const root = await buildFile(file, { ...layoutV1, chunkBytes: 777 }, (block) => blocks.push(block));
    using server = serve(() => new Response(writeCar(root, blocks) as Uint8Array<ArrayBuffer>, { headers: carType }));
    expect(await downloader([server]).download(root.toString())).toEqual(file);
    expect(await reasonOf(() => new Response(file), root.toString())).toBe("CID_MISMATCH");
  });

  test.each([
    ["https://gw.example", "https://gw.example/ipfs/bafy"],
    ["https://gw.example/", "https://gw.example/ipfs/bafy"],
    ["https://gw.example/ipfs", "https://gw.example/ipfs/bafy"],
    ["https://gw.example/ipfs/", "https://gw.example/ipfs/bafy"],
    ["https://gw.example/sub", "https://gw.example/sub/ipfs/bafy"],
  ])("the address at %s", (gateway, url) => {
    expect(gatewayUrl(gateway, "bafy")).toBe(url);
  });
});

describe("a gateway that lies or fails", () => {
  const carOf = async (change: (blocks: Block[]) => Block[]) => {
    const blocks: Block[] = [];
    const root = await buildFile(sampleBytes(1000), { ...layoutV1, chunkBytes: 100 }, (block) => blocks.push(block));
    const car = writeCar(root, change(blocks)) as Uint8Array<ArrayBuffer>;
    return reasonOf(() => new Response(car, { headers: carType }), root.toString());
  };

  test("wrong bytes at any place are never accepted, raw or UnixFS", async () => {
    let index = 0;
    using server = serve(() => {
      const changed = bytes.slice();
      changed[index]! ^= 1 << (index % 8);
      return new Response(changed);
    });
    for (; index < bytes.length; index++)
      for (const cid of [rawCid, v0Cid])
        expect((await expectCode(() => downloader([server]).download(cid), "IPFS_UNAVAILABLE")).message).toContain(
          "CID_MISMATCH",
        );
  });

  test("truncated, empty, longer or HTML", async () => {
    for (const body of [bytes.slice(0, 99), "", new Uint8Array([...bytes, 0]), "<html>Sign in</html>"])
      for (const cid of [rawCid, v0Cid]) expect(await reasonOf(() => new Response(body), cid)).toBe("CID_MISMATCH");
  });

  test("a body shorter than it was announced to be", async () => {
    using server = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        data(socket) {
          socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc");
          socket.end();
        },
      },
    }) as Bun.TCPSocketListener & Disposable;
    const error = await expectCode(
      () => downloader([`http://127.0.0.1:${server.port}`]).download(rawCid),
      "IPFS_UNAVAILABLE",
    );
    expect(error.message).toMatch(/ (IPFS_UNREACHABLE|CID_MISMATCH)$/);
  });

  test.each([404, 410, 429, 500, 502, 504])("status %d", async (status) => {
    expect(await reasonOf(() => new Response("no", { status }))).toBe(`IPFS_HTTP_${status}`);
  });

  test("one that starts and then stalls is given up in time", async () => {
    expect(await reasonOf(() => new Response(stalledBody()), rawCid, { timeoutMs: 150 })).toBe("IPFS_TIMEOUT");
  });

  test("one that never ends is cut off", async () => {
    const reason = await reasonOf(() => new Response(endlessBody()), rawCid, { maxBytes: 1000 });
    expect(reason).toBe("IPFS_BODY_TOO_LARGE");
  });

  test("a file above the limit, plain or as an archive", async () => {
    const store = createBlobStore();
    const large = sampleBytes(300_000);
    const cid = await store.put(large);
    const plain = sampleBytes(2000);
    const plainCid = (await buildFile(plain, layoutV1)).toString();
    const options = { maxBytes: 1999 };
    expect(await reasonOf(() => new Response(plain), plainCid, options)).toBe("IPFS_BODY_TOO_LARGE");
    using server = serve((request) => store.app.fetch(request));
    const error = await expectCode(() => downloader([server], { maxBytes: 299_999 }).download(cid), "IPFS_UNAVAILABLE");
    expect(error.message).toContain("IPFS_BODY_TOO_LARGE");
  });

  test("archives with a wrong block, without one, or that are none", async () => {
    expect(await carOf((blocks) => blocks.with(2, { cid: blocks[2]!.cid, bytes: sampleBytes(100) }))).toBe(
      "CID_MISMATCH",
    );
    expect(await carOf((blocks) => blocks.toSpliced(2, 1))).toBe("CAR_BLOCK_MISSING");
    expect(await reasonOf(() => new Response("<html>", { headers: carType }), v0Cid)).toBe("CAR_INVALID");
  });

  test("a machine that is not there", async () => {
    const server = serve(() => new Response());
    server[Symbol.dispose]();
    const error = await expectCode(() => downloader([server]).download(rawCid), "IPFS_UNAVAILABLE");
    expect(error.message).toEndWith("IPFS_UNREACHABLE");
  });
});

describe("redirects", () => {
  const to = (location: string, status = 302) => new Response(null, { status, headers: { Location: location } });

  test("three within this machine are followed, a fourth is not", async () => {
    using server = serve((request) => {
      const { pathname } = new URL(request.url);
      const left = Number(/hop-(\d)/.exec(pathname)?.[1] ?? (pathname.startsWith("/far") ? 4 : 3));
      return left === 0 ? new Response(bytes) : to(`/hop-${left - 1}`, 307);
    });
    expect(await downloader([server]).download(rawCid)).toEqual(bytes);
    const error = await expectCode(() => downloader([`${server.url}/far`]).download(rawCid), "IPFS_UNAVAILABLE");
    expect(error.message).toEndWith("IPFS_TOO_MANY_REDIRECTS");
  });

  test("never to a private address", async () => {
    for (const location of [
      "http://169.254.169.254/latest",
      "https://10.0.0.1/",
      "http://example.com/",
      "file:///etc/passwd",
    ])
      expect(await reasonOf(() => to(location))).toBe("IPFS_REDIRECT_REFUSED");
  });

  test("to an address that the name had when it was looked at, whatever it means a moment later", async () => {
    const server = Bun.serve({ hostname: "127.0.0.1", port: 0, tls: { cert, key }, fetch: () => new Response(bytes) });
    const answers = [["127.0.0.1"], ["127.0.0.2"]];
    let asked = 0;
    const redirectFetch = createDirectFetch({
      resolve: async () => answers[asked++]!,
      // Stands for the public internet, which a test must not use.
      isAllowed: (address) => address === "127.0.0.1",
      refused: redirectRefused,
      ca: cert,
    });
    using gateway = serve(() => to(`https://files.example:${server.port}/`));
    expect(await downloader([gateway], { redirectFetch }).download(rawCid)).toEqual(bytes);
    expect(asked).toBe(1);
    const again = downloader([gateway], { redirectFetch });
    expect((await expectCode(() => again.download(rawCid), "IPFS_UNAVAILABLE")).message).toEndWith(
      "IPFS_REDIRECT_REFUSED",
    );
    await server.stop(true);
  });

  test("not into this machine from the outside", async () => {
    using inside = serve(() => new Response(bytes));
    const outside = async (url: string) => {
      if (url.startsWith("https://gw.example/")) return to(`${inside.url}/secret`);
      return fetch(url);
    };
    const error = await expectCode(
      () => downloader(["https://gw.example"], { fetch: outside }).download(rawCid),
      "IPFS_UNAVAILABLE",
    );
    expect(error.message).toEndWith("IPFS_REDIRECT_REFUSED");
    expect(inside.requests).toHaveLength(0);
  });
});

describe("several gateways", () => {
  test("the next one helps, whatever is wrong with the first ones", async () => {
    using missing = serve(() => new Response("no", { status: 404 }));
    using lying = serve(() => new Response("other bytes"));
    using good = serve(() => new Response(bytes));
    expect(await downloader([missing, lying, good]).download(rawCid)).toEqual(bytes);
    const error = await expectCode(() => downloader([missing, lying]).download(rawCid), "IPFS_UNAVAILABLE");
    expect(error.message).toBe(
      `No gateway delivered ${rawCid}: ${missing.url} IPFS_HTTP_404, ${lying.url} CID_MISMATCH`,
    );
  });

  test("a stalled one is overtaken long before its time is up", async () => {
    using stalled = serve(() => new Response(stalledBody()));
    using good = serve(() => new Response(bytes));
    const started = performance.now();
    const slow = downloader([stalled, good], { timeoutMs: 30_000, hedgeMs: 20 });
    expect(await slow.download(rawCid)).toEqual(bytes);
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  test("a gateway that is named twice is asked once", async () => {
    using missing = serve(() => new Response("no", { status: 404 }));
    const twice = downloader([missing.url, `${missing.url}/`]);
    await expectCode(() => twice.download(rawCid), "IPFS_UNAVAILABLE");
    expect(missing.requests).toHaveLength(1);
  });

  test("an abort ends the download with its reason", async () => {
    using stalled = serve(() => new Response(stalledBody()));
    const controller = new AbortController();
    const download = downloader([stalled]).download(rawCid, controller.signal);
    controller.abort(new Error("claim deadline"));
    await expect(download).rejects.toThrow("claim deadline");
  });

  test("plain HTTP to another machine, and no gateway at all, are refused at once", async () => {
    for (const gateways of [[], ["http://gw.example"], ["ftp://127.0.0.1"], ["https://gw.example", "nonsense"]])
      await expectCode(() => downloader(gateways), "IPFS_GATEWAY_INVALID");
  });

  test("a text that is no CID is refused before anybody is asked", async () => {
    using server = serve(() => new Response(bytes));
    await expectCode(() => downloader([server]).download("Qmfake"), "CID_INVALID");
    await expectCode(() => downloader([server]).download("bafkqablimvwgy3y"), "CID_UNSUPPORTED");
    expect(server.requests).toHaveLength(0);
  });
});

describe("cache", () => {
  test("a verified file is kept for a minute, and nobody can change the kept one", async () => {
    const clock = manualClock();
    using server = serve(() => new Response(bytes));
    const { download } = downloader([server], { clock });
    (await download(rawCid)).fill(0);
    (await download(rawCid)).fill(0);
    expect(await download(rawCid)).toEqual(bytes);
    clock.advance(59_999);
    expect(await download(rawCid)).toEqual(bytes);
    expect(server.requests).toHaveLength(1);
    clock.advance(1);
    expect(await download(rawCid)).toEqual(bytes);
    expect(server.requests).toHaveLength(2);
  });

  test("a wrong file is not kept", async () => {
    let honest = false;
    using server = serve(() => new Response(honest ? bytes : "lie"));
    const { download } = downloader([server]);
    await expect(download(rawCid)).rejects.toBeInstanceOf(BlfError);
    honest = true;
    expect(await download(rawCid)).toEqual(bytes);
  });

  test("does not grow without end", async () => {
    const files = Array.from({ length: 6 }, (_, index) => sampleBytes(900 + index));
    const cids = await Promise.all(files.map(async (file) => (await buildFile(file, layoutV1)).toString()));
    using server = serve((request) => {
      const asked = new URL(request.url).pathname.split("/").at(-1)!;
      return new Response(files[cids.indexOf(asked)] as Uint8Array<ArrayBuffer>);
    });
    const { download } = downloader([server], { maxBytes: 1000 });
    for (const cid of cids) await download(cid);
    await download(cids.at(-1)!);
    expect(server.requests).toHaveLength(6);
    await download(cids[0]!);
    expect(server.requests).toHaveLength(7);
  });
});

async function uploadV0(server: TestServer, file: Uint8Array): Promise<string> {
  const body = new FormData();
  body.set("file", new Blob([file as Uint8Array<ArrayBuffer>]), "file.bin");
  const response = await fetch(`${server.url}/api/v0/add`, { method: "POST", body });
  return ((await response.json()) as { Hash: string }).Hash;
}
