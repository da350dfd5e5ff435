import { describe, expect, test } from "bun:test";
import { inspect } from "node:util";
import { createBlobStore } from "../../src/devnet/blob-store.ts";
import { buildFile, layoutV0, layoutV1 } from "../../src/ipfs/unixfs.ts";
import { createUploader, type UploaderOptions } from "../../src/ipfs/upload.ts";
import type { Clock } from "../../src/lib/clock.ts";
import { Secret } from "../../src/lib/secret.ts";
import { expectCode } from "../crypto/expect-code.ts";
import { endlessBody, sampleBytes, serve, stalledBody, type TestServer } from "./support.ts";

const bytes = sampleBytes(100);
const cid = (await buildFile(bytes, layoutV1)).toString();
const cidV0 = (await buildFile(bytes, layoutV0)).toString();
const jwt = new Secret("jwt-canary");

/** Sleeps take no time, and are remembered. */
function instantClock(): Clock & { slept: number[] } {
  const slept: number[] = [];
  return { now: () => 0, sleep: async (ms) => void slept.push(ms), slept };
}

function uploader(server: TestServer, kind: UploaderOptions["kind"] = "kubo", options: Partial<UploaderOptions> = {}) {
  const secret = kind === "pinata" ? { jwt } : {};
  return createUploader({ kind, url: server.url, fetch, clock: instantClock(), ...secret, ...options });
}

describe("upload", () => {
  test.each(["kubo", "devnet", "pinata"] as const)("%s: what was uploaded is there under its CID", async (kind) => {
    const store = createBlobStore();
    using server = serve((request) => store.app.fetch(request));
    for (const file of [bytes, sampleBytes(0), sampleBytes(700_000)]) {
      const uploaded = await uploader(server, kind).upload(file, "blindference-output.bin");
      expect(Buffer.from(store.get(uploaded)!).equals(file)).toBe(true);
    }
  });

  test("Kubo is asked for CID version 1 with raw leaves, pinned", async () => {
    using server = serve(() => Response.json({ Name: "x", Hash: cid, Size: "100" }));
    expect(await uploader(server).upload(bytes, "x.bin")).toBe(cid);
    const [request] = server.requests;
    const { pathname, searchParams } = new URL(request!.url);
    expect([request!.method, pathname]).toEqual(["POST", "/api/v0/add"]);
    expect(Object.fromEntries(searchParams)).toEqual({ "cid-version": "1", "raw-leaves": "true", pin: "true" });
    expect(request!.headers.get("authorization")).toBeNull();
  });

  test("Pinata gets the file in its field, under its name, with the JWT", async () => {
    using server = serve(() => Response.json({ IpfsHash: cid, PinSize: 100, Timestamp: "2026-01-01T00:00:00Z" }));
    expect(await uploader(server, "pinata").upload(bytes, "blindference-output.bin")).toBe(cid);
    const [request] = server.requests;
    expect(new URL(request!.url).pathname).toBe("/pinning/pinFileToIPFS");
    expect(request!.headers.get("authorization")).toBe("Bearer jwt-canary");
    const form = await request!.formData();
    const file = form.get("file") as unknown as Blob & { name: string };
    expect(file.name).toBe("blindference-output.bin");
    expect(new Uint8Array(await file.arrayBuffer())).toEqual(bytes);
  });

  test("Pinata's newer endpoint and answer, and an address that names the endpoint", async () => {
    using server = serve(() => Response.json({ data: { cid, size: 100 } }));
    expect(await uploader(server, "pinata", { url: `${server.url}/v3/files` }).upload(bytes, "x")).toBe(cid);
    expect(new URL(server.requests[0]!.url).pathname).toBe("/v3/files");
    expect((await server.requests[0]!.formData()).get("network")).toBe("public");
  });

  test("a CID in another form is accepted when it is of these bytes, and passed on as it was spelled", async () => {
    using server = serve(() => Response.json({ IpfsHash: cidV0 }));
    expect(await uploader(server, "pinata").upload(bytes, "x")).toBe(cidV0);
  });

  test("of Kubo's progress lines the last one counts", async () => {
    using server = serve(() => new Response(`{"Name":"x","Bytes":100}\n{"Name":"x","Hash":"${cid}","Size":"100"}\n`));
    expect(await uploader(server).upload(bytes, "x")).toBe(cid);
  });
});

describe("an upload service that lies or fails", () => {
  const otherCid = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";

  test.each([
    otherCid,
    `Qm${"ab".repeat(22)}`,
    "",
    "bafkqablimvwgy3y",
  ])("a CID that is not of our bytes: %s", async (wrong) => {
    using server = serve((request) =>
      Response.json(request.url.includes("pinning") ? { IpfsHash: wrong } : { Hash: wrong }),
    );
    for (const kind of ["kubo", "pinata"] as const)
      await expectCode(() => uploader(server, kind).upload(bytes, "x"), "IPFS_UPLOAD_CID_MISMATCH");
    expect(server.requests).toHaveLength(2);
  });

  test("answers without a CID", async () => {
    for (const [answer, code] of [
      ["<html>", "IPFS_UPLOAD_NOT_JSON"],
      ["", "IPFS_UPLOAD_NOT_JSON"],
      ["{}", "IPFS_UPLOAD_ANSWER_INVALID"],
      ["null", "IPFS_UPLOAD_ANSWER_INVALID"],
      ['{"Hash":5}', "IPFS_UPLOAD_ANSWER_INVALID"],
    ] as const) {
      using server = serve(() => new Response(answer));
      await expectCode(() => uploader(server).upload(bytes, "x"), code);
      await expectCode(() => uploader(server, "pinata").upload(bytes, "x"), code);
    }
  });

  test.each(["<html>", "", "{}", '{"Hash":'])("an answer that cannot be read passes: %s", async (garbage) => {
    let failures = 2;
    using server = serve(() => (failures-- > 0 ? new Response(garbage) : Response.json({ Hash: cid })));
    expect(await uploader(server, "kubo", { clock: instantClock() }).upload(bytes, "x")).toBe(cid);
    expect(server.requests).toHaveLength(3);
    using lasting = serve(() => new Response(garbage));
    const failed = uploader(lasting, "kubo", { clock: instantClock() }).upload(bytes, "x");
    expect(await failed.catch((error: unknown) => error)).toMatchObject({ retryable: true });
    expect(lasting.requests).toHaveLength(4);
  });

  test.each([429, 500, 503])("status %d passes: it is tried again, later each time", async (status) => {
    let failures = 3;
    using server = serve(() => (failures-- > 0 ? new Response("", { status }) : Response.json({ Hash: cid })));
    const clock = instantClock();
    expect(await uploader(server, "kubo", { clock }).upload(bytes, "x")).toBe(cid);
    expect(clock.slept).toHaveLength(3);
    expect(clock.slept[0]!).toBeGreaterThan(300);
    expect(clock.slept[2]!).toBeGreaterThan(clock.slept[0]!);
    expect(server.requests).toHaveLength(4);
  });

  test("one that does not recover is given up as retryable", async () => {
    using server = serve(() => new Response("", { status: 503 }));
    const error = await expectCode(() => uploader(server).upload(bytes, "x"), "IPFS_UPLOAD_HTTP_503");
    expect([error.retryable, server.requests.length]).toEqual([true, 4]);
  });

  test.each([
    [400, "IPFS_UPLOAD_HTTP_400", 1],
    [302, "IPFS_UPLOAD_HTTP_302", 1],
    [401, "IPFS_UPLOAD_UNAUTHORISED", 4],
    [403, "IPFS_UPLOAD_UNAUTHORISED", 4],
  ] as const)("status %d is final, and the JWT is in no error", async (status, code, exitCode) => {
    using server = serve(() => new Response("jwt-canary", { status, headers: { Location: "/elsewhere" } }));
    const error = await expectCode(() => uploader(server, "pinata").upload(bytes, "x"), code);
    expect([error.exitCode, server.requests.length]).toEqual([exitCode, 1]);
    expect(inspect(error, { depth: 9 })).not.toContain("jwt-canary");
  });

  test("stalled, endless or absent", async () => {
    using stalled = serve(() => new Response(stalledBody()));
    const once = { attempts: 1, timeoutMs: 150 };
    await expectCode(() => uploader(stalled, "kubo", once).upload(bytes, "x"), "IPFS_UPLOAD_TIMEOUT");
    using endless = serve(() => new Response(endlessBody()));
    await expectCode(() => uploader(endless).upload(bytes, "x"), "IPFS_UPLOAD_BODY_TOO_LARGE");
    const gone = serve(() => new Response());
    gone[Symbol.dispose]();
    await expectCode(() => uploader(gone).upload(bytes, "x"), "IPFS_UPLOAD_UNREACHABLE");
  });

  test("an abort ends it with its reason", async () => {
    using stalled = serve(() => new Response(stalledBody()));
    const controller = new AbortController();
    const upload = uploader(stalled).upload(bytes, "x", controller.signal);
    controller.abort(new Error("claim deadline"));
    await expect(upload).rejects.toThrow("claim deadline");
  });

  test("plain HTTP to another machine, and Pinata without a JWT, are refused at once", async () => {
    for (const options of [
      { kind: "kubo", url: "http://10.0.0.1:5001", fetch },
      { kind: "kubo", url: "nonsense", fetch },
      { kind: "pinata", url: "https://api.pinata.cloud", fetch },
    ] satisfies UploaderOptions[])
      await expectCode(() => createUploader(options), "IPFS_UPLOAD_INVALID");
  });
});
