import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { tempDirectory } from "../../helpers/temp-directory.ts";
import { failureOf } from "../fixture.ts";
import { serveModel, sha256 } from "../model-server.ts";
import { chunkSize, hash, hastyClock, model, pull, transport } from "./fixture.ts";

setDefaultTimeout(120_000);

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
