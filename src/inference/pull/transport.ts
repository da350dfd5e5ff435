import { isIP } from "node:net";
import type { Clock } from "../../lib/clock.ts";
import { BlfError } from "../../lib/errors.ts";
import { type Fetch, isAllowedEndpoint, safeOrigin } from "../../lib/http.ts";
import { isPublicAddress } from "../../lib/public-address.ts";
import type { Secret } from "../../lib/secret.ts";
import { protocolError, unreachable } from "./errors.ts";

export type TransportOptions = {
  fetch: Fetch;
  clock: Clock;
  /** Base URL of the hub: the only host that ever sees the token. */
  hubUrl: string;
  token?: Secret<string> | undefined;
  /** Longest silence of a server, in milliseconds; 30 s by default. */
  idleMs?: number;
};

/** One GET that has been followed to its end. */
export type Download = {
  status: number;
  headers: Headers;
  /** Where the redirects ended. */
  url: string;
  /** The headers of the first answer: what the hub says of a file that lies elsewhere. */
  firstHeaders: Headers;
  /** The body, which ends with an error when the server falls silent or cuts the line. */
  body: AsyncIterable<Uint8Array>;
  /** To be called when the body is not wanted, or no more of it. */
  close(): void;
};

export type Transport = {
  /** @throws BlfError `PULL_UNREACHABLE` (retryable), `PULL_URL_REFUSED`, `PULL_REDIRECT_REFUSED`; the signal's reason when aborted */
  get(url: string, headers: Record<string, string>, signal: AbortSignal): Promise<Download>;
  isHub(url: string): boolean;
};

const maxRedirects = 5;
const defaultIdleMs = 30_000;

/** GET over HTTPS, or plain HTTP within this machine. Redirects are followed by hand, each one under the same rule. */
export function createTransport(options: TransportOptions): Transport {
  const hubOrigin = safeOrigin(options.hubUrl);
  const isHub = (url: string) => safeOrigin(url) === hubOrigin;

  const get: Transport["get"] = async (start, headers, outer) => {
    if (!isAllowedEndpoint(start)) throw urlRefused();
    const idle = idleSignal(options.clock, options.idleMs ?? defaultIdleMs);
    const unwanted = new AbortController();
    const close = () => {
      idle.stop();
      unwanted.abort();
    };
    const signal = AbortSignal.any([outer, idle.signal, unwanted.signal]);
    let url = start;
    let firstHeaders: Headers | undefined;
    try {
      for (let hops = 0; ; hops++) {
        const token = options.token && isHub(url) ? { Authorization: `Bearer ${options.token.reveal()}` } : {};
        const response = await options.fetch(url, {
          headers: { "Accept-Encoding": "identity", ...headers, ...token },
          redirect: "manual",
          signal,
        });
        idle.touch();
        firstHeaders ??= response.headers;
        const location = response.headers.get("location");
        if (![301, 302, 303, 307, 308].includes(response.status) || location === null) {
          const encoding = response.headers.get("content-encoding");
          if (encoding !== null && encoding !== "identity") throw protocolError(url, "compresses the file unasked");
          const { status, headers: received } = response;
          return { status, headers: received, url, firstHeaders, body: readBody(response, url, idle, outer), close };
        }
        await response.body?.cancel().catch(() => {});
        if (hops === maxRedirects) throw redirectRefused(url, `redirects more than ${maxRedirects} times`);
        url = redirectTarget(url, location);
      }
    } catch (error) {
      close();
      throw describe(error, url, outer, idle.signal);
    }
  };
  return { get, isHub };
}

async function* readBody(response: Response, url: string, idle: Idle, outer: AbortSignal) {
  try {
    for await (const bytes of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      idle.touch();
      yield bytes;
    }
  } catch (error) {
    throw describe(error, url, outer, idle.signal);
  } finally {
    idle.stop();
  }
}

function describe(error: unknown, url: string, outer: AbortSignal, idle: AbortSignal): unknown {
  if (outer.aborted) return outer.reason;
  if (error instanceof BlfError) return error;
  return unreachable(url, idle.aborted ? "fell silent" : "cannot be reached, or cut the connection", error);
}

/** Where a redirect leads, if we may go there: never from the internet into this machine or a private network. */
function redirectTarget(from: string, location: string): string {
  const target = URL.parse(location, from);
  if (target?.username !== "" || target.password !== "") throw redirectRefused(from, "redirects to no address");
  if (!isAllowedEndpoint(target.href)) throw redirectRefused(from, "redirects to an address without HTTPS");
  const host = target.hostname.replace(/^\[|\]$/g, "");
  const isPrivate = isLoopback(target.href) || (isIP(host) !== 0 && !isPublicAddress(host));
  if (isPrivate && !isLoopback(from)) throw redirectRefused(from, "redirects into a private network");
  return target.href;
}

function isLoopback(url: string): boolean {
  const { hostname } = new URL(url);
  return isAllowedEndpoint(`http://${hostname}`);
}

type Idle = { signal: AbortSignal; touch(): void; stop(): void };

/** A signal that aborts when it has not been touched for `ms`. */
function idleSignal(clock: Clock, ms: number): Idle {
  const controller = new AbortController();
  let timer = new AbortController();
  const arm = () =>
    clock.sleep(ms, timer.signal).then(
      () => controller.abort(new DOMException("the server fell silent", "TimeoutError")),
      () => {},
    );
  void arm();
  return {
    signal: controller.signal,
    touch: () => {
      timer.abort();
      timer = new AbortController();
      void arm();
    },
    stop: () => timer.abort(),
  };
}

export function urlRefused(): BlfError {
  return new BlfError({
    code: "PULL_URL_REFUSED",
    message: "Models are downloaded over HTTPS only",
    hint: "Give an https:// URL; plain http:// is for 127.0.0.1 only.",
  });
}

function redirectRefused(url: string, what: string): BlfError {
  return new BlfError({
    code: "PULL_REDIRECT_REFUSED",
    message: `The server at ${safeOrigin(url)} ${what}`,
    hint: "Give the URL of the file itself.",
  });
}
