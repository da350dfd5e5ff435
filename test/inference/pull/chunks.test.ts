import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createManifest, readManifest } from "../../../src/inference/pull/manifest.ts";
import { tempDirectory } from "../../helpers/temp-directory.ts";
import { failureOf, never } from "../fixture.ts";
import { modelOfSize, serveModel, sha256 } from "../model-server.ts";
import { chunkSize, chunks, content, cutOnce, flipOnce, hash, model, pull, transport } from "./fixture.ts";

setDefaultTimeout(120_000);

describe("a download in chunks", () => {
  test("brings the file, each chunk once, and leaves nothing else behind", async () => {
    using directory = tempDirectory();
    using server = await serveModel(model);
    const seen: number[] = [];
    const result = await pull(directory, `${server.url}/m.gguf`, {
      sha256: hash,
      onProgress: ({ received, total }) => {
        expect(total).toBe(model.length);
        seen.push(received);
      },
    });
    expect(result).toEqual({ bytes: model.length, sha256: hash, checkedAgainst: "option", resumed: 0, refetched: 0 });
    expect(content(directory)).toBe(hash);
    expect(readdirSync(directory.path)).toEqual(["m.gguf"]);
    expect(server.fetches(chunkSize)).toEqual(new Array(chunks).fill(1));
    expect([seen[0], seen.at(-1)]).toEqual([0, model.length]);
  });

  test("takes up every line that is cut where it broke", async () => {
    using directory = tempDirectory();
    const cuts = cutOnce(
      [1, 2, 3, 7, 8].map((index) => index * chunkSize),
      20_000,
    );
    using server = await serveModel(model, cuts);
    const { onProgress } = cuts;
    const result = await pull(directory, server.url, { sha256: hash, connections: 1, onProgress });
    expect([result.refetched, content(directory), cuts.isDone()]).toEqual([0, hash, true]);
    expect(server.fetches(chunkSize)).toEqual(new Array(chunks).fill(1));
    expect(server.requests.filter(({ start }) => start % chunkSize > 0)).toHaveLength(5);
  });

  test("fetches a damaged chunk again, and no other, where the server vouches for ranges", async () => {
    using directory = tempDirectory();
    using server = await serveModel(model, { contentDigest: true, tamper: flipOnce(5 * chunkSize + 17) });
    const result = await pull(directory, server.url, { sha256: hash });
    expect([result.refetched, content(directory)]).toEqual([1, hash]);
    expect(server.fetches(chunkSize)).toEqual(Array.from({ length: chunks }, (_, index) => (index === 5 ? 2 : 1)));
  });

  test("sees damage in the part before a cut and in the part after it", async () => {
    for (const inPart of ["first", "second"]) {
      using directory = tempDirectory();
      const cuts = cutOnce([7 * chunkSize], 30_000);
      const flip = flipOnce(7 * chunkSize + (inPart === "first" ? 10 : 60_000));
      using server = await serveModel(model, {
        contentDigest: true,
        tamper: (body, request) => (inPart === "first" || request.start > 7 * chunkSize ? flip(body, request) : body),
        ...cuts,
      });
      const result = await pull(directory, server.url, { connections: 1, onProgress: cuts.onProgress });
      expect(server.requests.filter(({ start }) => start % chunkSize > 0)).toHaveLength(1);
      expect([result.refetched, result.sha256, content(directory)]).toEqual([1, hash, hash]);
    }
  });

  test("fetches a damaged chunk again, and no other, where a manifest vouches for chunks", async () => {
    using directory = tempDirectory();
    writeFileSync(join(directory.path, "good"), model);
    const made = await createManifest(join(directory.path, "good"), chunkSize);
    writeFileSync(join(directory.path, "manifest"), JSON.stringify(made));
    const manifest = await readManifest(join(directory.path, "manifest"), transport(), never);
    using server = await serveModel(model, { tamper: flipOnce(3 * chunkSize) });
    const result = await pull(directory, server.url, { manifest });
    expect(result).toMatchObject({ refetched: 1, sha256: hash, checkedAgainst: "manifest" });
    expect(content(directory)).toBe(hash);
  });

  test("finds the damaged chunk by comparing copies, cut ones first, where only the whole hash is known", async () => {
    using directory = tempDirectory();
    const cuts = cutOnce([9 * chunkSize], 30_000);
    using server = await serveModel(model, { tamper: flipOnce(9 * chunkSize + 5), ...cuts });
    const { onProgress } = cuts;
    const result = await pull(directory, server.url, { sha256: hash, connections: 1, onProgress });
    expect([result.refetched, content(directory)]).toEqual([1, hash]);

    using other = tempDirectory();
    using plain = await serveModel(model, { tamper: flipOnce(chunkSize) });
    const slower = await pull(other, plain.url, { sha256: hash });
    expect([slower.refetched, content(other)]).toEqual([2, hash]);
  });

  test("refuses a file of another hash and keeps nothing of it", async () => {
    using directory = tempDirectory();
    using server = await serveModel(model);
    const error = await failureOf(() => pull(directory, server.url, { sha256: "ab".repeat(32) }));
    expect(error.code).toBe("PULL_HASH_MISMATCH");
    expect(readdirSync(directory.path)).toEqual([]);
  });

  test("takes the hash of a whole file from the server, and refuses a server that disagrees before it downloads", async () => {
    using directory = tempDirectory();
    const digest = Buffer.from(hash, "hex").toString("base64");
    using server = await serveModel(model, { headers: { "Repr-Digest": `sha-256=:${digest}:` } });
    const error = await failureOf(() => pull(directory, server.url, { sha256: "ab".repeat(32) }));
    expect([error.code, server.requests.length]).toEqual(["PULL_HASH_MISMATCH", 1]);
    expect(await pull(directory, server.url)).toMatchObject({ sha256: hash, checkedAgainst: "server" });
  });

  test("believes an ETag only of the hub", async () => {
    using directory = tempDirectory();
    using server = await serveModel(model, { headers: { ETag: `"${hash}"` } });
    expect((await pull(directory, server.url)).checkedAgainst).toBeNull();
    const hub = transport({ hubUrl: server.url });
    expect((await pull(directory, server.url, { transport: hub })).checkedAgainst).toBe("hub");
    using liar = await serveModel(model, { headers: { "X-Linked-Etag": `"${"ab".repeat(32)}"` } });
    const error = await failureOf(() => pull(directory, liar.url, { transport: transport({ hubUrl: liar.url }) }));
    expect(error.code).toBe("PULL_HASH_MISMATCH");
    expect(content(directory)).toBe(hash);
  });
});

const megabytes = Number(process.env["BLF_TEST_PULL_MB"] ?? 64);

test(`${megabytes} MB, five cuts and a flipped byte: the right file, one chunk fetched twice`, async () => {
  using directory = tempDirectory();
  const large = modelOfSize(megabytes * 1_000_000);
  const size = 8 * 1024 * 1024;
  const cutIn = new Set([1, 2, 3, 5, 6].map((index) => index * size));
  using server = await serveModel(large, {
    contentDigest: true,
    tamper: flipOnce(4 * size + 4_000_000),
    cut: ({ start }) => (cutIn.delete(start) ? 5_000_001 : undefined),
  });
  const started = performance.now();
  const result = await pull(directory, server.url, { sha256: sha256(large), chunkSize: size });
  const ms = Math.round(performance.now() - started);
  expect(result).toMatchObject({ bytes: large.length, sha256: sha256(large), refetched: 1 });
  expect(content(directory)).toBe(sha256(large));
  expect(cutIn.size).toBe(0);
  expect(server.fetches(size).filter((count) => count > 1)).toEqual([2]);
  if (process.env["BLF_TEST_PULL_MB"]) console.log(`${megabytes} MB in ${ms} ms, ${server.requests.length} requests`);
});
