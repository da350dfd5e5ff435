import type { IncomingMessage, RequestOptions } from "node:http";
import { isIP, type LookupFunction } from "node:net";
import { abortable } from "./concurrent.ts";
import type { Fetch } from "./http.ts";
import { hasProxy } from "./proxy.ts";
import { type ResolveHost, systemResolveHost } from "./public-address.ts";

export type DirectFetchOptions = {
  /** Asked once for each request. */
  resolve?: ResolveHost;
  /** Whether a connection may be made to an address; each address that a name has must be one. All are by default. */
  isAllowed?: (address: string) => boolean;
  /** What is thrown when one is not. */
  refused?: () => Error;
  /** Certificates to trust instead of the system's, as PEM. */
  ca?: string;
};

/**
 * A `fetch` that makes a connection of its own for each request, to an address that was looked at before. The runtime's own looks names up
 * itself, so a name could mean another address by then (DNS rebinding); and all its requests, to whichever host, share 256
 * connections, behind which one more waits without a limit.
 *
 * Certificates are checked against the name. Takes a text as body or none, follows no redirect, unpacks nothing and knows no proxy.
 */
export function createDirectFetch(options: DirectFetchOptions = {}): Fetch {
  const { resolve = systemResolveHost, isAllowed = () => true, refused = () => new Error("refused"), ca } = options;
  return async (url, { method = "GET", headers, body, signal } = {}) => {
    if (body != null && typeof body !== "string") throw new TypeError("the body must be a text");
    const target = new URL(url);
    const host = target.hostname.replace(/^\[|\]$/g, "");
    const limit = signal ?? new AbortController().signal;
    limit.throwIfAborted();
    const addresses = isIP(host) ? [host] : await abortable(resolve(host), limit);
    if (addresses.length === 0 || !addresses.every(isAllowed)) throw refused();
    const sent: Record<string, string> = { ...Object.fromEntries(new Headers(headers)), "accept-encoding": "identity" };
    if (body != null) sent["content-length"] = String(Buffer.byteLength(body));
    const request: RequestOptions = {
      method,
      headers: { ...sent, connection: "close" },
      // A pool would give a connection by its name, whatever the address behind it.
      agent: false,
      lookup: pinned(addresses),
      signal: limit,
      ...(ca === undefined ? {} : { ca }),
    };
    return toResponse(await send(target, request, body ?? "", { isAllowed, refused }));
  };
}

/** For what must not wait behind other requests: connections of its own, unless a proxy is in between. */
export function createOwnFetch(fetch: Fetch): Fetch {
  return hasProxy() ? fetch : createDirectFetch();
}

/** Gives the addresses that were looked at, whatever the name means now. */
function pinned(addresses: readonly string[]): LookupFunction {
  const all = addresses.map((address) => ({ address, family: isIP(address) }));
  return (_hostname, { all: wantsAll }, done) =>
    wantsAll ? done(null, all) : done(null, all[0]!.address, all[0]!.family);
}

async function send(
  target: URL,
  options: RequestOptions,
  body: string,
  { isAllowed, refused }: Required<Pick<DirectFetchOptions, "isAllowed" | "refused">>,
): Promise<IncomingMessage> {
  const { request } = target.protocol === "https:" ? await import("node:https") : await import("node:http");
  return new Promise((resolve, reject) => {
    const sent = request(target, options, (answer) => {
      const { remoteAddress } = answer.socket;
      if (remoteAddress !== undefined && isAllowed(remoteAddress)) return resolve(answer);
      reject(refused());
      sent.destroy();
    });
    sent.on("error", reject);
    // An answer that changes the protocol (101) is none, and comes with no error; nor does every other end without an answer.
    sent.on("upgrade", (_answer, socket) => socket.destroy());
    sent.on("close", () => reject(new Error("the connection was closed without an answer")));
    sent.end(body);
  });
}

const withoutBody = new Set([204, 205, 304]);

function toResponse(message: IncomingMessage): Response {
  const headers = new Headers();
  for (const [name, value] of Object.entries(message.headers))
    if (value !== undefined) headers.set(name, [value].flat().join(", "));
  const status = message.statusCode ?? 0;
  try {
    return new Response(withoutBody.has(status) ? null : bodyOf(message), { status, headers });
  } catch (error) {
    message.destroy();
    throw error;
  }
}

function bodyOf(message: IncomingMessage): ReadableStream<Uint8Array> {
  const chunks = message[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const { value, done } = await chunks.next();
      if (done) controller.close();
      else controller.enqueue(value as Uint8Array);
    },
    cancel: () => void message.destroy(),
  });
}
