import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync } from "node:fs";
import { Secret } from "../../../src/lib/secret.ts";
import { tempDirectory } from "../../helpers/temp-directory.ts";
import { failureOf } from "../fixture.ts";
import { serveModel } from "../model-server.ts";
import { chunkSize, chunks, hash, model, pull, transport } from "./fixture.ts";

setDefaultTimeout(120_000);

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
