import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createManifest, readManifest } from "../../src/inference/pull/manifest.ts";
import { type PullOptions, pullFile } from "../../src/inference/pull/pull.ts";
import { createTransport, type TransportOptions } from "../../src/inference/pull/transport.ts";
import { type Clock, systemClock } from "../../src/lib/clock.ts";
import { Secret } from "../../src/lib/secret.ts";
import { tempDirectory } from "../helpers/temp-directory.ts";
import { until } from "../helpers/until.ts";
import { failureOf, never } from "./fixture.ts";
import { modelOfSize, serveModel, sha256 } from "./model-server.ts";

setDefaultTimeout(120_000);

const chunkSize = 64 * 1024;
const model = modelOfSize(1_000_001);
const chunks = Math.ceil(model.length / chunkSize);
const hash = sha256(model);

const transport = (options: Partial<TransportOptions> = {}) =>
  createTransport({ fetch: globalThis.fetch, clock: systemClock, hubUrl: "https://hub.example", ...options });

function pull(directory: { path: string }, url: string, options: Partial<PullOptions> = {}) {
  const target = join(directory.path, "m.gguf");
  return pullFile({
    url,
    target,
    connections: 4,
    chunkSize,
    transport: transport(),
    clock: systemClock,
    signal: never,
    ...options,
  });
}

/** Changes one byte at this place of the file in the first answer that holds it. */
function flipOnce(place: number) {
  let flipped = false;
  return (body: Uint8Array, { start, end }: { start: number; end: number }) => {
    if (flipped || place < start || place >= end || end - start === 1) return body;
    flipped = true;
    const copy = Uint8Array.from(body);
    copy[place - start]! ^= 0x40;
    return copy;
  };
}

/**
 * Cuts the line once in the chunks that begin at these places, after something of them has arrived: what lies unread in the client's
 * buffers when a line breaks is lost. For one connection at a time.
 */
function cutOnce(starts: number[], bytes: number) {
  const left = new Set(starts);
  let received = 0;
  return {
    cut: ({ start, end }: { start: number; end: number }) => (end - start > 1 && left.has(start) ? bytes : undefined),
    pause: ({ start, end }: { start: number; end: number }) => {
      if (end - start === 1 || !left.delete(start)) return undefined;
      const before = received;
      return until("some of it arrived", () => received > before).then(() => {});
    },
    onProgress: (progress: { received: number }) => {
      received = progress.received;
    },
    isDone: () => left.size === 0,
  };
}

/** Waits a twentieth of the time. */
const hastyClock: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(ms / 20, signal) };

const content = (directory: { path: string }) => sha256(readFileSync(join(directory.path, "m.gguf")));

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

describe("an interrupted download", () => {
  const interruptAfter = (bytes: number) => {
    const controller = new AbortController();
    const onProgress = ({ received }: { received: number }) => {
      if (received >= bytes) controller.abort(new Error("stop"));
    };
    return { signal: controller.signal, onProgress };
  };

  test("goes on with the chunks that are there", async () => {
    using directory = tempDirectory();
    using server = await serveModel(model);
    const stopped = pull(directory, server.url, { sha256: hash, connections: 1, ...interruptAfter(10 * chunkSize) });
    await expect(stopped).rejects.toThrow("stop");
    expect(readdirSync(directory.path).sort()).toEqual(["m.gguf.part", "m.gguf.part.json"]);
    const before = server.requests.length;
    const result = await pull(directory, server.url, { sha256: hash });
    expect(result).toMatchObject({ resumed: 10 * chunkSize, refetched: 0, sha256: hash });
    expect(server.requests.slice(before).filter(({ end, start }) => end - start > 1)).toHaveLength(chunks - 10);
    expect(readdirSync(directory.path)).toEqual(["m.gguf"]);
  });

  test("does not believe what the disk has lost", async () => {
    using directory = tempDirectory();
    using server = await serveModel(model);
    const stopped = pull(directory, server.url, { connections: 1, ...interruptAfter(10 * chunkSize) });
    await expect(stopped).rejects.toThrow("stop");
    const part = join(directory.path, "m.gguf.part");
    const bytes = readFileSync(part);
    bytes.fill(0, 4 * chunkSize, 4 * chunkSize + 100);
    writeFileSync(part, bytes.subarray(0, 8 * chunkSize));
    const result = await pull(directory, server.url);
    expect([result.sha256, content(directory)]).toEqual([hash, hash]);
    expect(server.fetches(chunkSize).flatMap((count, index) => (count > 1 ? [index] : []))).toEqual([4, 8, 9]);
  });

  test("begins anew when the state is damaged or the file is another one by now", async () => {
    for (const spoil of ["{", `{"version":1}`, "other file"]) {
      using directory = tempDirectory();
      using server = await serveModel(model);
      const stopped = pull(directory, server.url, { connections: 1, ...interruptAfter(10 * chunkSize) });
      await expect(stopped).rejects.toThrow("stop");
      if (spoil !== "other file") {
        writeFileSync(join(directory.path, "m.gguf.part.json"), spoil);
        expect(await pull(directory, server.url)).toMatchObject({ resumed: 0, sha256: hash });
        continue;
      }
      const other = modelOfSize(900_000);
      using newer = await serveModel(other);
      expect(await pull(directory, newer.url)).toMatchObject({ resumed: 0, sha256: sha256(other) });
    }
  });

  test("is not joined by a second one", async () => {
    using directory = tempDirectory();
    const { promise, resolve } = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    using server = await serveModel(model, {
      pause: ({ start }) => {
        if (start === 0) return undefined;
        begun.resolve();
        return promise;
      },
    });
    const first = pull(directory, server.url, { sha256: hash });
    await begun.promise;
    expect((await failureOf(() => pull(directory, server.url))).code).toBe("PULL_RUNNING");
    resolve();
    expect((await first).sha256).toBe(hash);
    expect(readdirSync(directory.path)).toEqual(["m.gguf"]);
  });
});

describe("a server without ranges", () => {
  test("is read in one piece, and from the beginning after a cut at 99 %", async () => {
    using directory = tempDirectory();
    using server = await serveModel(model, {
      ranges: false,
      cut: (_request, index) => (index === 1 ? Math.floor(model.length * 0.99) : undefined),
    });
    const result = await pull(directory, server.url, { sha256: hash });
    expect(result).toMatchObject({ refetched: 1, sha256: hash });
    expect(readdirSync(directory.path)).toEqual(["m.gguf"]);
    expect(server.requests).toHaveLength(3);
  });

  test("gets a second chance after a flipped byte, and not a third", async () => {
    using directory = tempDirectory();
    let answers = 0;
    const flipIn = (which: (answer: number) => boolean) => (body: Uint8Array) => {
      if (!which(++answers)) return body;
      const copy = Uint8Array.from(body);
      copy[500_000]! ^= 1;
      return copy;
    };
    using once = await serveModel(model, { ranges: false, tamper: flipIn((answer) => answer === 2) });
    expect(await pull(directory, once.url, { sha256: hash })).toMatchObject({ refetched: 1, sha256: hash });
    using always = await serveModel(model, { ranges: false, tamper: flipIn(() => true) });
    using other = tempDirectory();
    expect((await failureOf(() => pull(other, always.url, { sha256: hash }))).code).toBe("PULL_HASH_MISMATCH");
    expect(readdirSync(other.path)).toEqual([]);
  });
});

describe("a redirect", () => {
  const redirectTo = (location: string) => `HTTP/1.1 302 Found\r\nLocation: ${location}\r\nConnection: close\r\n\r\n`;

  test("is followed, without the token to another host, and the hub's hash is kept", async () => {
    using directory = tempDirectory();
    using store = await serveModel(model);
    const linked = `X-Linked-Etag: "${hash}"\r\nX-Linked-Size: ${model.length}\r\n`;
    using hub = await serveModel(model, {
      instead: () => redirectTo(`${store.url}/blob?signature=1`).replace("Location", `${linked}Location`),
    });
    const withToken = transport({ hubUrl: hub.url, token: new Secret("hf_secret") });
    const result = await pull(directory, `${hub.url}/o/r/resolve/main/m.gguf`, { transport: withToken });
    expect(result).toMatchObject({ sha256: hash, checkedAgainst: "hub" });
    expect(hub.requests.map(({ headers }) => headers["authorization"])).toEqual(["Bearer hf_secret"]);
    expect(store.requests.length).toBe(chunks + 1);
    expect(JSON.stringify(store.requests)).not.toContain("hf_secret");
  });

  test("is asked for again when the signed address has expired", async () => {
    using directory = tempDirectory();
    let signature = 1;
    using store = await serveModel(model, {
      instead: ({ path, start }) => {
        if (start >= 5 * chunkSize && path === "/blob?1") signature = 2;
        const expired = path !== `/blob?${signature}`;
        return expired ? "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" : undefined;
      },
    });
    using hub = await serveModel(model, { instead: () => redirectTo(`${store.url}/blob?${signature}`) });
    const result = await pull(directory, hub.url, { connections: 1, sha256: hash });
    expect([result.sha256, hub.requests.length]).toEqual([hash, 2]);
  });

  test.each([
    ["http://example.org/m.gguf", "PULL_REDIRECT_REFUSED"],
    ["https://user:secret@example.org/m.gguf", "PULL_REDIRECT_REFUSED"],
    ["file:///etc/passwd", "PULL_REDIRECT_REFUSED"],
    ["/again", "PULL_REDIRECT_REFUSED"],
  ])("to %s is refused", async (location, code) => {
    using directory = tempDirectory();
    using server = await serveModel(model, { instead: () => redirectTo(location) });
    const error = await failureOf(() => pull(directory, server.url));
    expect([error.code, readdirSync(directory.path)]).toEqual([code, []]);
    expect(server.requests.length).toBe(location === "/again" ? 6 : 1);
  });

  test("from the internet into this machine or a private network is refused", async () => {
    using directory = tempDirectory();
    for (const location of ["http://127.0.0.1:1/m", "https://localhost/m", "https://10.0.0.1/m", "https://[::1]/m"]) {
      const fetch = async () => new Response(null, { status: 302, headers: { Location: location } });
      const error = await failureOf(() =>
        pull(directory, "https://example.org/m.gguf", { transport: transport({ fetch }) }),
      );
      expect(error.code).toBe("PULL_REDIRECT_REFUSED");
    }
  });
});

describe("what cannot be downloaded", () => {
  const plain = (status: string, headers = "") =>
    `HTTP/1.1 ${status}\r\n${headers}Content-Length: 0\r\nConnection: close\r\n\r\n`;

  test.each([
    ["401 Unauthorized", "PULL_UNAUTHORISED", 4],
    ["403 Forbidden", "PULL_UNAUTHORISED", 4],
    ["404 Not Found", "PULL_NOT_FOUND", 1],
    ["418 Teapot", "PULL_HTTP_ERROR", 1],
    ["200 OK", "PULL_SERVER_INVALID", 1],
    ["206 Partial Content", "PULL_SERVER_INVALID", 1],
  ])("%s ends in %s", async (status, code, exitCode) => {
    using directory = tempDirectory();
    using server = await serveModel(model, { instead: () => plain(status) });
    const error = await failureOf(() => pull(directory, server.url));
    expect([error.code, Number(error.exitCode), readdirSync(directory.path)]).toEqual([code, exitCode, []]);
  });

  test("a busy server is asked again", async () => {
    using directory = tempDirectory();
    using server = await serveModel(model, {
      instead: (_request, index) => (index % 3 === 0 ? plain("429 Too Many Requests") : undefined),
    });
    expect((await pull(directory, server.url, { clock: hastyClock })).sha256).toBe(hash);
  });

  test("a server that falls silent is given up, and what came is kept", async () => {
    using directory = tempDirectory();
    const forever = new Promise<void>(() => {});
    using server = await serveModel(model, {
      pause: ({ start }) => (start === 4 * chunkSize ? forever : undefined),
      instead: ({ start }) => (start % chunkSize !== 0 ? plain("503 Busy") : undefined),
    });
    const error = await failureOf(() =>
      pull(directory, server.url, {
        transport: transport({ idleMs: 4000, clock: hastyClock }),
        clock: hastyClock,
        connections: 1,
      }),
    );
    expect([error.code, error.retryable]).toEqual(["PULL_UNREACHABLE", true]);
    expect(existsSync(join(directory.path, "m.gguf.part.json"))).toBe(true);
    using good = await serveModel(model);
    // The same file at another address is another source, and begins anew.
    expect(await pull(directory, good.url)).toMatchObject({ sha256: hash, resumed: 0 });
  });

  test("a web page in place of a model is refused after its first chunk", async () => {
    for (const ranges of [true, false]) {
      using directory = tempDirectory();
      const page = new TextEncoder().encode("<!DOCTYPE html>".repeat(100_000));
      using server = await serveModel(page, { ranges });
      const error = await failureOf(() => pull(directory, server.url, { connections: 1 }));
      expect([error.code, readdirSync(directory.path)]).toEqual(["MODEL_NOT_GGUF", []]);
      expect(server.requests.length).toBe(2);
    }
  });

  test("a GGUF that would crash llama.cpp never gets its name", async () => {
    using directory = tempDirectory();
    const broken = Uint8Array.from(model);
    broken.fill(0xff, 4, 60);
    using server = await serveModel(broken);
    const error = await failureOf(() => pull(directory, server.url, { sha256: sha256(broken) }));
    expect([error.code.startsWith("MODEL_"), readdirSync(directory.path)]).toEqual([true, []]);
  });

  test("ranges that are not what was asked for, or a file that changes, are refused", async () => {
    const answers: [string, string][] = [
      [`Content-Range: bytes 0-9/${model.length}\r\n`, "PULL_SERVER_INVALID"],
      [`Content-Range: bytes 0-${chunkSize - 1}/${model.length + 1}\r\n`, "PULL_CHANGED"],
      [`Content-Range: bytes 0-${chunkSize - 1}/${model.length}\r\nETag: "2"\r\n`, "PULL_CHANGED"],
      [`Content-Range: bytes 0-${chunkSize - 1}/${model.length}\r\nContent-Encoding: gzip\r\n`, "PULL_SERVER_INVALID"],
    ];
    for (const [headers, code] of answers) {
      using directory = tempDirectory();
      using server = await serveModel(model, {
        headers: { ETag: '"1"' },
        instead: (_request, index) => (index > 0 ? plain("206 Partial Content", headers) : undefined),
      });
      expect((await failureOf(() => pull(directory, server.url, { connections: 1 }))).code).toBe(code);
    }
  });

  test("plain HTTP to anywhere but this machine is refused before anything is sent", async () => {
    using directory = tempDirectory();
    const fetch = () => Promise.reject(new Error("was sent"));
    const error = await failureOf(() => pull(directory, "http://example.org/m", { transport: transport({ fetch }) }));
    expect(error.code).toBe("PULL_URL_REFUSED");
  });

  test("a digest that is wrong itself does not keep a file of the right hash away", async () => {
    using directory = tempDirectory();
    const headers = { "Content-Digest": `sha-256=:${Buffer.alloc(32).toString("base64")}:` };
    using server = await serveModel(model, { headers });
    expect(await pull(directory, server.url, { sha256: hash })).toMatchObject({ sha256: hash });
    using other = tempDirectory();
    expect((await failureOf(() => pull(other, server.url))).code).toBe("PULL_CHUNK_CORRUPT");
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
