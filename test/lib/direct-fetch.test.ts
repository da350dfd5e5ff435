import { describe, expect, test } from "bun:test";
import { createServer, type Socket } from "node:net";
import { createDirectFetch } from "../../src/lib/direct-fetch.ts";
import { httpRequest } from "../../src/lib/http.ts";
import { expectCode } from "../crypto/expect-code.ts";
import { endlessBody, sampleBytes, serve } from "../ipfs/support.ts";
import { cert, key } from "./tls.ts";

const service = { prefix: "IPFS", name: "The gateway", hint: "Use another one." };
const limits = { timeoutMs: 5000, maxBytes: 1000 };

/** A server with a certificate for two names, neither of which exists in DNS. */
function serveTls(handler: (request: Request) => Response) {
  let connections = 0;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    tls: { cert, key },
    fetch: (request) => {
      connections++;
      return handler(request);
    },
  });
  return { port: server.port, requests: () => connections, [Symbol.dispose]: () => void server.stop(true) };
}

/** A name whose meaning changes with every question. */
function rebinding(...answers: string[][]) {
  let asked = 0;
  const resolve = async () => answers[Math.min(asked++, answers.length - 1)]!;
  return { resolve, asked: () => asked };
}

/** Stands for the public internet, which a test must not use. */
const isAllowed = (address: string) => address === "127.0.0.1";

describe("which address is connected to", () => {
  test("that which was looked at, however the name is bound a moment later", async () => {
    using server = serveTls((request) => new Response(`hello ${new URL(request.url).hostname}`));
    const { resolve, asked } = rebinding(["127.0.0.1"], ["127.0.0.2"]);
    const fetch = createDirectFetch({ resolve, isAllowed, ca: cert });
    const response = await fetch(`https://files.example:${server.port}/`);
    expect([await response.text(), asked()]).toEqual(["hello files.example", 1]);
  });

  test("each request looks again, and no connection of an earlier one is used for it", async () => {
    using server = serveTls(() => new Response("hello"));
    const { resolve } = rebinding(["127.0.0.1"], ["10.0.0.1"]);
    const fetch = createDirectFetch({ resolve, isAllowed, ca: cert });
    const url = `https://files.example:${server.port}/`;
    expect(await (await fetch(url)).text()).toBe("hello");
    await expect(fetch(url)).rejects.toThrow("refused");
    expect(server.requests()).toBe(1);
  });

  test.each([
    ["a forbidden one", ["10.0.0.1"]],
    ["one among others", ["127.0.0.1", "10.0.0.1"]],
    ["none", []],
  ])("never %s", async (_name, addresses) => {
    using server = serveTls(() => new Response("reached"));
    const fetch = createDirectFetch({ resolve: async () => addresses, isAllowed, ca: cert });
    await expect(fetch(`https://files.example:${server.port}/`)).rejects.toThrow("refused");
    expect(server.requests()).toBe(0);
  });

  test("an address in the URL is looked at too, in every spelling", async () => {
    using server = serve(() => new Response("reached"));
    const { port } = new URL(server.url);
    const fetch = createDirectFetch({ isAllowed: () => false });
    for (const host of ["127.0.0.1", "2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]"])
      await expect(fetch(`http://${host}:${port}/`)).rejects.toThrow("refused");
    expect(server.requests).toHaveLength(0);
  });

  test("a name that means nothing, or is looked up for ever", async () => {
    const none = createDirectFetch({ resolve: () => Promise.reject(new Error("ENOTFOUND")) });
    await expectCode(() => httpRequest(none, service, "https://files.example/", limits), "IPFS_UNREACHABLE");
    const hanging = createDirectFetch({ resolve: () => new Promise(() => {}) });
    const short = { ...limits, timeoutMs: 50 };
    await expectCode(() => httpRequest(hanging, service, "https://files.example/", short), "IPFS_TIMEOUT");
  });
});

describe("certificates", () => {
  const resolve = async () => ["127.0.0.1"];
  test.each([
    ["of another name", "other.example", cert],
    ["that nobody trusts", "files.example", undefined],
  ])("one %s is refused", async (_name, host, ca) => {
    using server = serveTls(() => new Response("reached"));
    const fetch = createDirectFetch({ resolve, ...(ca ? { ca } : {}) });
    await expectCode(() => httpRequest(fetch, service, `https://${host}:${server.port}/`, limits), "IPFS_UNREACHABLE");
    expect(server.requests()).toBe(0);
  });
});

describe("an exchange", () => {
  const direct = createDirectFetch();

  test("carries method, headers and the exact body, and brings status, headers and bytes", async () => {
    using server = serve(() => new Response("no", { status: 404, headers: { "X-Kind": "test" } }));
    const body = '{"a": 1,  "é":"\\u00e9"}';
    const request = { ...limits, method: "POST", body, headers: { "X-Signature": "0x1" } } as const;
    const response = await httpRequest(direct, service, `${server.url}/a?b=c`, request);
    const [received] = server.requests;
    expect([received!.url, received!.method, received!.headers.get("x-signature"), await received!.text()]).toEqual([
      `${server.url}/a?b=c`,
      "POST",
      "0x1",
      body,
    ]);
    expect([response.status, response.headers.get("x-kind"), Buffer.from(response.bytes).toString()]).toEqual([
      404,
      "test",
      "no",
    ]);
  });

  test("a large body, none, and one that is too large", async () => {
    const large = sampleBytes(3_000_000);
    using server = serve(({ url }) =>
      url.endsWith("/none")
        ? new Response(null, { status: 204 })
        : new Response(url.endsWith("/large") ? large : endlessBody()),
    );
    const ask = (path: string) =>
      httpRequest(direct, service, server.url + path, { timeoutMs: 10_000, maxBytes: 3_000_000 });
    expect(Buffer.from((await ask("/large")).bytes).equals(large)).toBe(true);
    const none = await ask("/none");
    expect([none.status, none.bytes.length]).toEqual([204, 0]);
    await expectCode(() => ask("/endless"), "IPFS_BODY_TOO_LARGE");
  });

  test("follows no redirect", async () => {
    using target = serve(() => new Response("reached"));
    using server = serve(() => Response.redirect(target.url, 302));
    expect((await httpRequest(direct, service, server.url, limits)).status).toBe(302);
    expect(target.requests).toHaveLength(0);
  });

  test.each<[string, string, (socket: Socket) => unknown]>([
    ["hangs up", "IPFS_UNREACHABLE", (socket) => socket.destroy()],
    ["talks something else", "IPFS_UNREACHABLE", (socket) => socket.end("220 smtp ready\r\n\r\n")],
    [
      "announces more than it sends",
      "IPFS_UNREACHABLE",
      (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
    ],
    ["answers with a status that is none", "IPFS_UNREACHABLE", (socket) => socket.write("HTTP/1.1 999 X\r\n\r\n")],
    [
      "changes the protocol",
      "IPFS_UNREACHABLE",
      (socket) => socket.write("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\nabc"),
    ],
    ["says nothing", "IPFS_TIMEOUT", () => {}],
    [
      "stops in the middle",
      "IPFS_TIMEOUT",
      (socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
    ],
    [
      "sends headers without an end",
      "IPFS_UNREACHABLE",
      (socket) => socket.write(`HTTP/1.1 200 OK\r\nX: ${"x".repeat(1_000_000)}`),
    ],
  ])("a server that %s: %s", async (_name, code, answer) => {
    const closed = Promise.withResolvers<void>();
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.on("close", () => closed.resolve());
      socket.once("data", () => answer(socket));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const request = { timeoutMs: code === "IPFS_TIMEOUT" ? 100 : 5000, maxBytes: 1000 };
    await expectCode(() => httpRequest(direct, service, `http://127.0.0.1:${port}`, request), code);
    // Nothing of it stays behind.
    await closed.promise;
    server.close();
  });
});
