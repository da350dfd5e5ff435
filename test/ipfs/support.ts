import { systemClock } from "../../src/lib/clock.ts";
import { createLogger, type Logger } from "../../src/lib/log.ts";

export const silentLog: Logger = createLogger({ level: "error", format: "json", clock: systemClock, write: () => {} });

export type TestServer = { url: string; requests: Request[]; [Symbol.dispose](): void };

/** A server on loopback that remembers what it was asked. */
export function serve(handler: (request: Request) => Response | Promise<Response>): TestServer {
  const requests: Request[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 60,
    async fetch(request) {
      const body = request.method === "POST" ? { body: await request.arrayBuffer() } : {};
      const copy = () => new Request(request.url, { method: request.method, headers: request.headers, ...body });
      requests.push(copy());
      return handler(copy());
    },
  });
  return { url: `http://127.0.0.1:${server.port}`, requests, [Symbol.dispose]: () => void server.stop(true) };
}

/** Bytes that do not repeat, the same for the same length. */
export function sampleBytes(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let state = 0x9e3779b9 ^ length;
  for (let index = 0; index < length; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

/** A body that goes on as long as anybody reads it. */
export function endlessBody(): ReadableStream {
  return new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(64 * 1024)) });
}

/** A body that starts and then says nothing more. */
export function stalledBody(): ReadableStream {
  return new ReadableStream({ start: (controller) => controller.enqueue(Uint8Array.of(1)) });
}
