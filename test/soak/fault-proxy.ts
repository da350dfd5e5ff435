import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import type { Prng } from "../sim/prng.ts";

/**
 * What befalls a request: it never arrives, its answer gets lost after the work was done, the service refuses, answers late, breaks off
 * in the middle, or sends something that it never would.
 */
export const faultKinds = ["drop", "lose-answer", "http-500", "http-429", "delay", "half", "garbage"] as const;
export type FaultKind = (typeof faultKinds)[number];

/** A request that reached the service, with the service's answer. */
export type Exchange = {
  method: string;
  path: string;
  /** The node that signed it, if one did. */
  node: string | undefined;
  body: Buffer;
  status: number;
};

export type FaultProxy = {
  url: string;
  requests(): number;
  faults(): Record<FaultKind, number>;
  /** Share of the requests that go wrong from now on, 0 to 1. */
  setRate(rate: number): void;
  stop(): Promise<void>;
};

export type FaultProxyOptions = {
  target: string;
  prng: Prng;
  /** Longest delay, in milliseconds. */
  maxDelayMs: number;
  onExchange?: (exchange: Exchange) => void;
};

type Answer = { status: number; headers: Record<string, string>; body: Buffer };

/** Kept from the service's answer; the rest is the connection's own business. */
const passedOn = ["content-type", "date", "etag", "cache-control", "retry-after"];

/** Answers of services that have gone wrong, of many sorts: no JSON, JSON of another shape, half of a document, a page of an error. */
const garbage = [
  "",
  "null",
  "{}",
  "[]",
  '{"jsonrpc":"2.0","id":1,"result":',
  '{"assignments":[{"jobId":7}]}',
  "<html><body>502 Bad Gateway</body></html>",
];

/** Stands between the nodes and one service on loopback, and lets a share of the requests go wrong, as a seed decides. */
export async function startFaultProxy(options: FaultProxyOptions): Promise<FaultProxy> {
  const { target, prng } = options;
  const faults = Object.fromEntries(faultKinds.map((kind) => [kind, 0])) as Record<FaultKind, number>;
  let requests = 0;
  let rate = 0;

  const forward = async (request: IncomingMessage, body: Buffer): Promise<Answer> => {
    const headers = new Headers();
    for (const [name, value] of Object.entries(request.headers))
      if (typeof value === "string" && !/^(host|connection|content-length|accept-encoding)$/.test(name))
        headers.set(name, value);
    const { method = "GET", url = "/" } = request;
    const hasBody = method !== "GET" && method !== "HEAD";
    const response = await fetch(target + url, {
      method,
      headers,
      redirect: "manual",
      ...(hasBody ? { body: new Uint8Array(body) } : {}),
    });
    const answer: Answer = {
      status: response.status,
      headers: Object.fromEntries(
        passedOn.flatMap((name) => {
          const value = response.headers.get(name);
          return value === null ? [] : [[name, value]];
        }),
      ),
      body: Buffer.from(await response.arrayBuffer()),
    };
    const node = request.headers["x-node-address"];
    options.onExchange?.({
      method,
      path: url,
      node: typeof node === "string" ? node : undefined,
      body,
      status: answer.status,
    });
    return answer;
  };

  const reply = (response: ServerResponse, { status, headers, body }: Answer) => {
    response.writeHead(status, { ...headers, "content-length": String(body.length) });
    response.end(body);
  };

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await buffer(request);
    requests++;
    const fault = prng.chance(rate) ? prng.pick(faultKinds) : undefined;
    if (fault) faults[fault]++;
    const plain = { "content-type": "application/json" };
    switch (fault) {
      case "drop":
        request.socket.destroy();
        return;
      case "http-500":
        return reply(response, {
          status: 500,
          headers: plain,
          body: Buffer.from('{"detail":"Internal server error"}'),
        });
      case "http-429":
        return reply(response, {
          status: 429,
          headers: { ...plain, "retry-after": "1" },
          body: Buffer.from('{"detail":"too many requests"}'),
        });
      case "garbage": {
        const text = prng.pick([...garbage, undefined]);
        const bytes = text === undefined ? Buffer.from(prng.bytes(prng.int(1, 300))) : Buffer.from(text);
        return reply(response, { status: 200, headers: plain, body: bytes });
      }
      case "lose-answer":
        await forward(request, body);
        request.socket.destroy();
        return;
      case "delay":
        await Bun.sleep(prng.between(0.1, 1) * options.maxDelayMs);
        return reply(response, await forward(request, body));
      case "half": {
        const answer = await forward(request, body);
        response.writeHead(answer.status, { ...answer.headers, "content-length": String(answer.body.length + 1) });
        response.write(answer.body.subarray(0, answer.body.length >> 1));
        await Bun.sleep(5);
        request.socket.destroy();
        return;
      }
      default:
        return reply(response, await forward(request, body));
    }
  };

  const server = createServer((request, response) => {
    // A service that is away, as while it is restarted, is a connection that breaks off.
    handle(request, response).catch(() => request.socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: () => requests,
    faults: () => ({ ...faults }),
    setRate: (share) => {
      rate = share;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
