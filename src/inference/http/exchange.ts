import type { Clock } from "../../lib/clock.ts";
import { BlfError, errorCode } from "../../lib/errors.ts";
import type { Fetch } from "../../lib/http.ts";
import { version } from "../../lib/version.ts";
import { bodyTooLarge, connectionLost, notJson, timedOut, unreachable } from "./errors.ts";
import type { Service } from "./service.ts";

export type ExchangeRequest = {
  /** Begins with a slash; follows the service's base URL. */
  path: string;
  /** JSON; a request without it is a GET. */
  body?: string;
  /** From the call to the last byte, in milliseconds. */
  timeoutMs: number;
  signal: AbortSignal;
};

export type ExchangeResponse = { status: number; headers: Headers; text: string };

export type Wire = { fetch: Fetch; clock: Clock };

/** Longest answer that is read, in bytes: far more than 65,536 tokens of text. */
export const maximumBytes = 8 * 2 ** 20;
/** A body that has begun must go on within this time, in milliseconds. */
const idleMs = 30_000;

/**
 * One HTTP exchange with a service, over the runtime's pool of kept connections: bounded in time and size, without redirects, and ended
 * at once, connection included, when the signal is aborted.
 * @throws BlfError `<prefix>_UNREACHABLE`, `<prefix>_CONNECTION_LOST`, `<prefix>_TIMEOUT` (all retryable), `<prefix>_BODY_TOO_LARGE`,
 * `<prefix>_NOT_JSON` for bytes that are not UTF-8; the signal's reason when aborted
 */
export async function exchange(service: Service, wire: Wire, request: ExchangeRequest): Promise<ExchangeResponse> {
  const { body, timeoutMs, signal } = request;
  signal.throwIfAborted();
  const ended = new AbortController();
  const late = timer(wire.clock, ended);
  late.start(timeoutMs, timedOut(service, timeoutMs));
  let response: Response | undefined;
  try {
    const headers = {
      ...service.authorization(),
      accept: "application/json",
      "user-agent": `blindference/${version}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    };
    response = await wire.fetch(`${service.baseUrl}${request.path}`, {
      method: body === undefined ? "GET" : "POST",
      headers,
      ...(body === undefined ? {} : { body }),
      redirect: "manual",
      signal: AbortSignal.any([signal, ended.signal]),
      // The runtime's own limit of five minutes would end long answers.
      timeout: false,
    } as RequestInit);
    const idle = timer(wire.clock, ended);
    const bytes = await readBody(service, response, () => idle.start(idleMs, connectionLost(service)), idle.stop);
    return { status: response.status, headers: response.headers, text: decode(service, bytes) };
  } catch (error) {
    signal.throwIfAborted();
    if (ended.signal.aborted) throw ended.signal.reason;
    if (error instanceof BlfError) throw error;
    throw response ? connectionLost(service) : unreachable(service, errorCode(error));
  } finally {
    late.stop();
  }
}

async function readBody(
  service: Service,
  response: Response,
  waiting: () => void,
  done: () => void,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    waiting();
    for await (const chunk of (response.body ?? []) as unknown as AsyncIterable<Uint8Array>) {
      length += chunk.length;
      if (length > maximumBytes) throw bodyTooLarge(service, maximumBytes);
      chunks.push(chunk);
      waiting();
    }
  } finally {
    done();
  }
  return Buffer.concat(chunks);
}

function decode(service: Service, bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw notJson(service);
  }
}

/** Aborts with an error when its time is up; starting it again gives it its whole time again. */
function timer(clock: Clock, controller: AbortController) {
  let running: AbortController | undefined;
  const stop = () => running?.abort();
  const start = (ms: number, error: BlfError) => {
    stop();
    running = new AbortController();
    clock.sleep(ms, running.signal).then(
      () => controller.abort(error),
      () => {},
    );
  };
  return { start, stop };
}
