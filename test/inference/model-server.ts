import { createHash } from "node:crypto";
import { createServer, type Socket } from "node:net";
import { buildTinyModel } from "../../native/tiny-model.ts";

export type ServedRequest = { path: string; headers: Record<string, string>; start: number; end: number };

export type ModelServerOptions = {
  ranges?: boolean;
  /** Vouches for the bytes of every answer (RFC 9530). */
  contentDigest?: boolean;
  headers?: Record<string, string>;
  /** Of an answer's body: how many bytes are sent before the line is cut; undefined for all of them. */
  cut?: (request: ServedRequest, index: number) => number | undefined;
  /** Changes what is sent, after its digest was made. */
  tamper?: (body: Uint8Array, request: ServedRequest, index: number) => Uint8Array;
  /** Answers in place of the file: a status line with headers and an optional body. */
  instead?: (request: ServedRequest, index: number) => string | undefined;
  /** Waited for in the middle of every answer. */
  pause?: (request: ServedRequest, index: number) => Promise<void> | undefined;
};

export const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** A model of llama's kind, made longer with bytes that do not repeat. Equal sizes give equal models. */
export function modelOfSize(size: number): Uint8Array {
  const model = buildTinyModel({ layers: 1, dim: 32, ff: 32 });
  if (size < model.length) throw new RangeError(`the smallest model has ${model.length} bytes`);
  const bytes = new Uint8Array(size);
  const words = new Uint32Array(bytes.buffer, 0, size >>> 2);
  let state = 0x9e3779b9;
  for (let index = 0; index < words.length; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    words[index] = state;
  }
  bytes.set(model);
  return bytes;
}

/** An HTTP server that has one file under every path, speaks to one request per connection, and misbehaves as it is told. */
export async function serveModel(model: Uint8Array, options: ModelServerOptions = {}) {
  const requests: ServedRequest[] = [];
  const sockets = new Set<Socket>();
  const answer = async (socket: Socket, request: ServedRequest) => {
    const index = requests.push(request) - 1;
    const instead = options.instead?.(request, index);
    if (instead !== undefined) return void socket.end(instead);
    const partial = options.ranges !== false && request.headers["range"] !== undefined;
    const body = partial ? model.subarray(request.start, request.end) : model;
    const digest = createHash("sha256").update(body).digest("base64");
    const head = [
      partial ? "HTTP/1.1 206 Partial Content" : "HTTP/1.1 200 OK",
      `Content-Length: ${body.length}`,
      ...(partial ? [`Content-Range: bytes ${request.start}-${request.end - 1}/${model.length}`] : []),
      ...(options.contentDigest ? [`Content-Digest: sha-256=:${digest}:`] : []),
      ...Object.entries(options.headers ?? {}).map(([name, value]) => `${name}: ${value}`),
      "Connection: close",
    ];
    socket.write(`${head.join("\r\n")}\r\n\r\n`);
    const sent = options.tamper?.(body, request, index) ?? body;
    const length = options.cut?.(request, index) ?? sent.length;
    const pause = options.pause?.(request, index);
    if (pause) {
      socket.write(sent.subarray(0, length >>> 1));
      await pause;
      socket.end(sent.subarray(length >>> 1, length));
    } else socket.end(sent.subarray(0, length));
  };
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    let text = "";
    socket.on("data", (bytes) => {
      text += bytes.toString("latin1");
      if (text.includes("\r\n\r\n")) answer(socket, parseRequest(text, model.length)).catch(() => socket.destroy());
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    /** How often each chunk was asked for from its beginning. */
    fetches: (chunkSize: number) => {
      const counts = new Array<number>(Math.ceil(model.length / chunkSize)).fill(0);
      for (const { start, end } of requests)
        if (start % chunkSize === 0 && end - start > 1) counts[start / chunkSize]! += 1;
      return counts;
    },
    [Symbol.dispose]: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function parseRequest(text: string, size: number): ServedRequest {
  const [line, ...lines] = text.split("\r\n");
  const headers: Record<string, string> = {};
  for (const header of lines) {
    const [, name, value] = /^([^:]+): *(.*)$/.exec(header) ?? [];
    if (name !== undefined && value !== undefined) headers[name.toLowerCase()] = value;
  }
  const range = /^bytes=(\d+)-(\d+)$/.exec(headers["range"] ?? "");
  const [start, end] = range ? [Number(range[1]), Math.min(size, Number(range[2]) + 1)] : [0, size];
  return { path: line!.split(" ")[1]!, headers, start, end };
}
