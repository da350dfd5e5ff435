import { echo } from "./services.ts";

export type ProxiedRequest = { method: string; path: string; body: string; request: Request };

/** Gives an answer of its own to a request, or undefined to pass it on. */
export type ProxyRule = (request: ProxiedRequest) => Response | Promise<Response> | undefined;

export type LyingProxy = {
  url: string;
  requests: ProxiedRequest[];
  rule: ProxyRule | undefined;
  stop(): Promise<void>;
};

/** Passes everything on to `target`, but for what its rule answers. */
export function startProxy(target: string): LyingProxy {
  const proxy: LyingProxy = { url: "", requests: [], rule: undefined, stop: () => server.stop(true) };
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    maxRequestBodySize: 64 * 1024 * 1024,
    fetch: async (request) => {
      const { pathname, search } = new URL(request.url);
      const bytes = await request.arrayBuffer();
      const seen = { method: request.method, path: pathname, body: Buffer.from(bytes).toString("latin1"), request };
      proxy.requests.push(seen);
      const own = await proxy.rule?.(seen);
      if (own) return own;
      if (pathname === "/pinning/pinFileToIPFS") return pinToKubo(target, request, bytes);
      const headers = new Headers(request.headers);
      for (const name of ["host", "connection", "accept-encoding", "content-length"]) headers.delete(name);
      const hasBody = request.method !== "GET" && request.method !== "HEAD";
      return fetch(`${target}${pathname}${search}`, {
        method: request.method,
        headers,
        ...(hasBody ? { body: bytes } : {}),
      }).catch(() => new Response(null, { status: 502 }));
    },
  });
  proxy.url = `http://127.0.0.1:${server.port}`;
  return proxy;
}

/** The devnet's blob store speaks like Kubo; this is Pinata before it. */
async function pinToKubo(target: string, request: Request, bytes: ArrayBuffer): Promise<Response> {
  const type = request.headers.get("content-type")!;
  const form = await new Response(bytes, { headers: { "content-type": type } }).formData();
  const file = new FormData();
  file.set("file", form.get("file") as Blob, "output.bin");
  const url = `${target}/api/v0/add?cid-version=1&raw-leaves=true&pin=true`;
  const { Hash } = (await (await fetch(url, { method: "POST", body: file })).json()) as { Hash: string };
  return Response.json({ IpfsHash: Hash });
}

export type CountedRule = ProxyRule & { left(): number };
type Matches = (request: ProxiedRequest) => boolean;

/** Answers matching requests with all that they held, `times` times. */
export function echoTimes(times: number, status: number, matches: Matches): CountedRule {
  return counted(times, matches, (seen) => echo(seen.request, seen.body, status));
}

/** As `echoTimes`, in the words of JSON-RPC. */
export function rpcErrorTimes(times: number, matches: Matches): CountedRule {
  return counted(times, matches, (seen) => {
    const call = JSON.parse(seen.body) as RpcBody | RpcBody[];
    const answer = ({ id }: RpcBody) => ({
      jsonrpc: "2.0",
      id,
      error: { code: 3, message: `execution reverted: ${seen.body}`, data: seen.body },
    });
    return Response.json(Array.isArray(call) ? call.map(answer) : answer(call));
  });
}

function counted(times: number, matches: Matches, answer: (seen: ProxiedRequest) => Response): CountedRule {
  let left = times;
  const rule = (seen: ProxiedRequest) => (left > 0 && matches(seen) && left-- > 0 ? answer(seen) : undefined);
  return Object.assign(rule, { left: () => left });
}

type RpcBody = { id: number };
