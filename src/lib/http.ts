import { type Clock, systemClock } from "./clock.ts";
import { UnpackedTooLarge, unpackBody } from "./content-encoding.ts";
import { BlfError } from "./errors.ts";
import { parseJson } from "./json.ts";

export type Fetch = (url: string, init?: RequestInit) => Promise<Response>;

export type HttpRequest = {
  method?: "GET" | "POST";
  headers?: Record<string, string>;
  body?: string | Uint8Array | FormData;
  /** From the call to the last byte of the body, in milliseconds. */
  timeoutMs: number;
  /** Largest body that is read, in bytes. */
  maxBytes: number;
  signal?: AbortSignal;
  /** Measures the timeout; the system's clock by default. */
  timer?: Clock;
};

export type HttpResponse = { status: number; headers: Headers; bytes: Uint8Array };

/** Names of errors, by the service that is spoken to: `ICL` gives `ICL_UNREACHABLE`, `ICL_TIMEOUT`, `ICL_BODY_TOO_LARGE`. */
export type HttpService = { prefix: string; name: string; hint: string };

/**
 * One HTTP exchange with a bounded time and a bounded body. Redirects are not followed: a 3xx is returned as it is.
 * @throws BlfError `<prefix>_UNREACHABLE`, `<prefix>_TIMEOUT` (both retryable), `<prefix>_BODY_TOO_LARGE`; the signal's reason when aborted.
 */
export async function httpRequest(
  fetch: Fetch,
  service: HttpService,
  url: string,
  request: HttpRequest,
): Promise<HttpResponse> {
  const timeout = timeoutSignal(request.timer ?? systemClock, request.timeoutMs);
  const signal = request.signal ? AbortSignal.any([request.signal, timeout.signal]) : timeout.signal;
  try {
    const init: RequestInit = { ...plainAnswer(request.headers), method: request.method ?? "GET", signal };
    if (request.body !== undefined) init.body = request.body as NonNullable<RequestInit["body"]>;
    const response = await fetch(url, init);
    const packed = await readBody(response, request.maxBytes, () => tooLarge(service, request.maxBytes));
    const encoding = response.headers.get("content-encoding");
    const bytes = await unpackBody(packed, encoding, request.maxBytes).catch((error: unknown) => {
      throw error instanceof UnpackedTooLarge ? tooLarge(service, request.maxBytes) : error;
    });
    return { status: response.status, headers: response.headers, bytes };
  } catch (error) {
    if (error instanceof BlfError) throw error;
    request.signal?.throwIfAborted();
    const origin = safeOrigin(url);
    if (timeout.signal.aborted)
      throw new BlfError({
        code: `${service.prefix}_TIMEOUT`,
        message: `${service.name} at ${origin} did not answer within ${request.timeoutMs / 1000} s`,
        hint: service.hint,
        retryable: true,
      });
    throw new BlfError({
      code: `${service.prefix}_UNREACHABLE`,
      message: `${service.name} at ${origin} cannot be reached`,
      hint: service.hint,
      retryable: true,
      cause: error,
    });
  } finally {
    timeout.clear();
  }
}

/** A signal that is aborted after `ms`, unless it is cleared before. */
function timeoutSignal(clock: Clock, ms: number): { signal: AbortSignal; clear(): void } {
  const timeout = new AbortController();
  const done = new AbortController();
  clock.sleep(ms, done.signal).then(
    () => timeout.abort(new DOMException("The time for an answer is over", "TimeoutError")),
    () => {},
  );
  return { signal: timeout.signal, clear: () => done.abort() };
}

/** Asks for an answer as it is: no redirect is followed, nothing is packed, and what comes packed all the same stays so. */
export function plainAnswer(headers: Record<string, string> = {}): RequestInit {
  const init = {
    redirect: "manual",
    decompress: false,
    headers: { "Accept-Encoding": "identity", ...headers },
  } as const;
  return init;
}

function tooLarge(service: HttpService, maxBytes: number): BlfError {
  return new BlfError({
    code: `${service.prefix}_BODY_TOO_LARGE`,
    message: `${service.name} sent more than ${maxBytes} bytes`,
    hint: service.hint,
  });
}

/** Reads a body up to `maxBytes`, and stops reading as soon as there is more. */
export async function readBody(response: Response, maxBytes: number, tooLarge: () => Error): Promise<Uint8Array> {
  if (!response.body) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > maxBytes) throw tooLarge();
    chunks.push(chunk);
  }
  return chunks.length === 1 ? chunks[0]! : new Uint8Array(Buffer.concat(chunks));
}

/** Scheme, host and port of a URL: what may be shown of it, since paths and queries can hold keys. */
export function safeOrigin(url: string): string {
  try {
    return new URL(url).origin;
  } catch {
    return "an invalid URL";
  }
}

/**
 * The JSON of a body, with big integers kept exact.
 * @throws BlfError `<prefix>_NOT_JSON`
 */
export function readJson(service: HttpService, response: HttpResponse): unknown {
  try {
    return parseJson(new TextDecoder("utf-8", { fatal: true }).decode(response.bytes));
  } catch {
    throw new BlfError({
      code: `${service.prefix}_NOT_JSON`,
      message: `${service.name} answered with something that is not JSON (HTTP ${response.status})`,
      hint: service.hint,
    });
  }
}

/** HTTPS, or plain HTTP to this machine only. */
export function isAllowedEndpoint(url: string): boolean {
  try {
    const { protocol, hostname } = new URL(url);
    return protocol === "https:" || (protocol === "http:" && /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname));
  } catch {
    return false;
  }
}
