import { describe, expect, test } from "bun:test";
import { connect, createServer, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { BlfError } from "../../src/lib/errors.ts";
import { type HttpRequest, httpRequest, isAllowedEndpoint, readJson, safeOrigin } from "../../src/lib/http.ts";
import { expectCode } from "../crypto/expect-code.ts";
import { endlessBody, serve, stalledBody } from "../ipfs/support.ts";

const service = { prefix: "ICL", name: "The coordinator (ICL)", hint: "Check icl_endpoint." };
const limits = { timeoutMs: 5000, maxBytes: 1000 };
const request = (url: string, more: Partial<HttpRequest> = {}) =>
  httpRequest(fetch, service, url, { ...limits, ...more });

/** A server below HTTP: does with a connection what it is told. */
async function rawServer(onConnection: (socket: Socket) => void) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.dispose]: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** A port on which nothing listens. */
async function closedPort(): Promise<string> {
  using server = await rawServer(() => {});
  return server.url;
}

describe("httpRequest", () => {
  test("gives status, headers and bytes of any answer", async () => {
    using server = serve(() => new Response("no", { status: 404, headers: { "X-Kind": "test" } }));
    const response = await request(`${server.url}/a?b=c`);
    expect([response.status, response.headers.get("x-kind"), new TextDecoder().decode(response.bytes)]).toEqual([
      404,
      "test",
      "no",
    ]);
  });

  test("sends method, headers and the exact body", async () => {
    using server = serve(async () => new Response(null, { status: 204 }));
    const body = '{"a": 1,  "é":"\\u00e9"}';
    const response = await request(server.url, { method: "POST", body, headers: { "X-Signature": "0x1" } });
    const [received] = server.requests;
    expect([received!.method, received!.headers.get("x-signature"), await received!.text()]).toEqual([
      "POST",
      "0x1",
      body,
    ]);
    expect([response.status, response.bytes.length]).toEqual([204, 0]);
  });

  test("reads as much as it may and not a byte more", async () => {
    using server = serve(({ url }) => new Response(new Uint8Array(Number(new URL(url).pathname.slice(1)))));
    expect((await request(`${server.url}/1000`)).bytes.length).toBe(1000);
    const error = await expectCode(() => request(`${server.url}/1001`), "ICL_BODY_TOO_LARGE");
    expect([error.message, error.retryable]).toEqual(["The coordinator (ICL) sent more than 1000 bytes", false]);
  });

  test("stops reading a body without an end", async () => {
    const cancelled = Promise.withResolvers<void>();
    let pulled = 0;
    const body = () =>
      new ReadableStream({
        pull: (controller) => {
          pulled++;
          controller.enqueue(new Uint8Array(64 * 1024));
        },
        cancel: () => cancelled.resolve(),
      });
    using server = serve(() => new Response(body()));
    await expectCode(() => request(server.url), "ICL_BODY_TOO_LARGE");
    await cancelled.promise;
    expect(pulled).toBeLessThan(1000);
  });

  test("a small body that unpacks to a large one is too large", async () => {
    const bomb = gzipSync(new Uint8Array(50_000_000));
    expect(bomb.length).toBeLessThan(100_000);
    using server = serve(() => new Response(bomb, { headers: { "Content-Encoding": "gzip" } }));
    await expectCode(() => request(server.url, { maxBytes: 100_000 }), "ICL_BODY_TOO_LARGE");
  });

  test("does not follow a redirect", async () => {
    using target = serve(() => new Response("reached"));
    using server = serve(() => Response.redirect(`${target.url}/elsewhere`, 302));
    const response = await request(server.url);
    expect([response.status, response.headers.get("location")]).toEqual([302, `${target.url}/elsewhere`]);
    expect(target.requests).toHaveLength(0);
  });

  test.each<[string, () => Response | Promise<Response>]>([
    ["never answers", () => new Promise(() => {})],
    ["stops in the middle of the body", () => new Response(stalledBody())],
  ])("a server that %s runs into the timeout", async (_name, handler) => {
    using server = serve(handler);
    const error = await expectCode(() => request(`${server.url}/v1?key=secret`, { timeoutMs: 150 }), "ICL_TIMEOUT");
    expect(error.message).toBe(`The coordinator (ICL) at ${server.url} did not answer within 0.15 s`);
    expect([error.retryable, error.exitCode]).toEqual([true, 75]);
  });

  test("a body that comes byte by byte does not outlive the timeout", async () => {
    using server = await rawServer((socket) => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
      const timer = setInterval(() => socket.write("x"), 5);
      socket.on("close", () => clearInterval(timer));
    });
    const started = performance.now();
    await expectCode(() => request(server.url, { timeoutMs: 200, maxBytes: 1_000_000 }), "ICL_TIMEOUT");
    expect(performance.now() - started).toBeLessThan(3000);
  });

  test.each<[string, (socket: Socket) => void]>([
    ["hangs up at once", (socket) => socket.destroy()],
    ["talks something else", (socket) => socket.end("220 smtp ready\r\n\r\n")],
    ["sends broken headers", (socket) => socket.end("HTTP/1.1 banana\r\n:::\r\n\r\n")],
    ["announces more than it sends", (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nabc")],
    [
      "breaks off a chunked body",
      (socket) => socket.end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
    ],
    [
      "says gzip and sends none",
      (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"),
    ],
  ])("a server that %s is unreachable", async (_name, onConnection) => {
    using server = await rawServer((socket) => socket.once("data", () => onConnection(socket)));
    const error = await expectCode(() => request(server.url), "ICL_UNREACHABLE");
    expect(error.retryable).toBe(true);
  });

  test("nobody listening is unreachable, and only the origin is shown", async () => {
    const url = await closedPort();
    const secretUrl = `${url.replace("http://", "http://user:hunter2@")}/path/key?token=hunter2`;
    const error = await expectCode(() => request(secretUrl), "ICL_UNREACHABLE");
    expect(error.message).toBe(`The coordinator (ICL) at ${url} cannot be reached`);
  });

  test.each([
    ["before the answer", () => new Promise<Response>(() => {})],
    ["during the body", () => new Response(stalledBody())],
  ] as const)("an abort %s ends it with the signal's reason", async (_name, answer) => {
    const controller = new AbortController();
    const asked = Promise.withResolvers<void>();
    using server = serve(() => {
      asked.resolve();
      return answer();
    });
    const reason = new BlfError({ code: "DEADLINE_PASSED", message: "late", hint: "hurry" });
    const result = request(server.url, { signal: controller.signal });
    result.catch(() => {});
    await asked.promise;
    controller.abort(reason);
    await expect(result).rejects.toBe(reason);
  });

  test("an abort that came before sends nothing", async () => {
    using server = serve(() => new Response("ok"));
    const reason = new Error("stopped");
    await expect(request(server.url, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(server.requests).toHaveLength(0);
  });

  test("the limits hold at the same time: an endless body within a short time", async () => {
    using server = serve(() => new Response(endlessBody()));
    await expectCode(() => request(server.url, { maxBytes: 200_000, timeoutMs: 10_000 }), "ICL_BODY_TOO_LARGE");
  });
});

describe("readJson", () => {
  const response = (bytes: Uint8Array) => ({ status: 200, headers: new Headers(), bytes });
  const encode = (text: string) => new TextEncoder().encode(text);

  test("keeps big integers", () => {
    expect(readJson(service, response(encode('{"a":9007199254740993}')))).toEqual({ a: 9007199254740993n });
  });

  test.each([
    ["HTML", encode("<html><body>502 Bad Gateway</body></html>")],
    ["nothing", new Uint8Array()],
    ["bytes that are not UTF-8", Uint8Array.of(0x22, 0xff, 0xfe, 0x22)],
    ["half of a document", encode('{"a":')],
  ])("%s is not JSON, and is not repeated", async (_name, bytes) => {
    const error = await expectCode(() => readJson(service, response(bytes)), "ICL_NOT_JSON");
    expect(error.message).toBe("The coordinator (ICL) answered with something that is not JSON (HTTP 200)");
  });
});

describe("isAllowedEndpoint", () => {
  test.each([
    "https://icl.blindference.xyz",
    "https://10.0.0.1:8443/base",
    "http://127.0.0.1:8545",
    "http://127.1",
    "http://localhost",
    "http://LOCALHOST:1",
    "http://[::1]:8080",
  ])("%s", (url) => {
    expect(isAllowedEndpoint(url)).toBe(true);
  });

  test.each([
    "",
    "icl.blindference.xyz",
    "http://icl.blindference.xyz",
    "http://10.0.0.1",
    "http://0.0.0.0",
    "http://localhost.example.org",
    "http://127.0.0.1.example.org",
    "http://127.0.0.1@example.org",
    "ftp://127.0.0.1",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "ws://127.0.0.1",
  ])("not %p", (url) => {
    expect(isAllowedEndpoint(url)).toBe(false);
  });
});

test("safeOrigin shows neither path, query nor credentials", () => {
  expect(safeOrigin("https://user:pass@host.example:8443/v2/apikey?x=1#y")).toBe("https://host.example:8443");
  expect(safeOrigin("not a url")).toBe("an invalid URL");
});

test("the raw server of these tests closes what it opened", async () => {
  const url = await closedPort();
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  const code = await new Promise((resolve) =>
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code)),
  );
  expect(code).toBe("ECONNREFUSED");
});
