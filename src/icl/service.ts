import type * as z from "zod";
import type { Circuit } from "../lib/circuit.ts";
import { type Clock, systemClock } from "../lib/clock.ts";
import { BlfError, isRetryable } from "../lib/errors.ts";
import {
  type Fetch,
  type HttpRequest,
  type HttpResponse,
  type HttpService,
  httpRequest,
  readJson,
} from "../lib/http.ts";
import { stringifyJson } from "../lib/json.ts";
import { printable } from "../lib/printable.ts";
import { retry } from "../lib/retry.ts";
import { readRetryAfter } from "../lib/retry-after.ts";
import type { ClockOffset } from "./clock-offset.ts";

/** Largest answer of the coordinator that is read. */
const maxBytes = 4 * 1024 * 1024;

export type JsonServiceOptions = {
  fetch: Fetch;
  clock: Clock;
  baseUrl: string;
  service: HttpService;
  timeoutMs?: number;
  /** Measures timeouts; the system's clock by default. */
  timer?: Clock;
  /** Learns from every answer how far the clocks are apart. */
  offset?: ClockOffset;
  /** Keeps calls that can wait from a service that does not answer. */
  circuit?: Circuit;
  /** Headers for one request, made anew for every attempt. */
  headers?: (body: string) => Promise<Record<string, string>>;
};

export type JsonCall = {
  body?: unknown;
  form?: FormData;
  signal?: AbortSignal;
  /** One of many that ask the same, which is not made while the circuit is open. No job may be lost for want of it. */
  canWait?: boolean;
};

export type JsonService = {
  get<S extends z.ZodType>(path: string, schema: S, call?: JsonCall): Promise<z.output<S>>;
  post<S extends z.ZodType>(path: string, schema: S, call?: JsonCall): Promise<z.output<S>>;
};

/**
 * A JSON service of the network: signs, sends, reads and checks. A request that did not get through is tried a second
 * time a second later, as node 0.3.5 does.
 * @throws BlfError `<prefix>_UNREACHABLE|TIMEOUT|RESTING|BODY_TOO_LARGE|NOT_JSON|UNEXPECTED_ANSWER|UNKNOWN|REJECTED|FAILED`
 */
export function createJsonService(options: JsonServiceOptions): JsonService {
  const call = async <S extends z.ZodType>(
    method: "GET" | "POST",
    path: string,
    schema: S,
    { body, form, signal, canWait = false }: JsonCall,
  ): Promise<z.output<S>> => {
    const { circuit } = options;
    signal?.throwIfAborted();
    if (canWait && circuit && !circuit.admits()) throw resting(options.service);
    const text = body === undefined ? "" : stringifyJson(body);
    const response = await retry(
      async () => {
        const { timeoutMs = 30_000, timer = systemClock } = options;
        const request: HttpRequest = { method, timeoutMs, maxBytes, timer };
        const headers = (await options.headers?.(text)) ?? (form ? {} : { "Content-Type": "application/json" });
        request.headers = headers;
        if (form) request.body = form;
        else if (method === "POST") request.body = text;
        if (signal) request.signal = signal;
        const sentAt = options.clock.now();
        const answer = await httpRequest(options.fetch, options.service, options.baseUrl + path, request).catch(
          (error: unknown) => {
            if (isRetryable(error) && !signal?.aborted) circuit?.failed();
            throw error;
          },
        );
        if (isFailure(answer.status)) circuit?.failed(retryAfter(answer, options.clock)?.ms);
        else circuit?.succeeded();
        options.offset?.note(answer.headers.get("date"), sentAt);
        return answer;
      },
      { clock: options.clock, attempts: 2, initialMs: 1000, maxMs: 1000, jitter: 0, ...(signal ? { signal } : {}) },
    );
    if (response.status < 200 || response.status >= 300) throw statusError(options, path, response);
    const result = schema.safeParse(readJson(options.service, response));
    if (result.success) return result.data;
    const field = result.error.issues[0]!.path.join(".");
    throw new BlfError({
      code: `${options.service.prefix}_UNEXPECTED_ANSWER`,
      message: `${options.service.name} answered ${routeOf(path)} with an unexpected value${field ? ` at "${field}"` : ""}`,
      hint: options.service.hint,
    });
  };
  return {
    get: (path, schema, parameters = {}) => call("GET", path, schema, parameters),
    post: (path, schema, parameters = {}) => call("POST", path, schema, parameters),
  };
}

/** Whether the service says that it cannot do now what it otherwise could. */
function isFailure(status: number): boolean {
  return status >= 500 || status === 429;
}

function retryAfter(response: HttpResponse, clock: Clock) {
  return readRetryAfter(response.headers.get("retry-after"), clock.now());
}

function resting(service: HttpService): BlfError {
  return new BlfError({
    code: `${service.prefix}_RESTING`,
    message: `${service.name} failed several times in a row and is left alone for some seconds`,
    hint: service.hint,
    retryable: true,
  });
}

function statusError(
  { service, clock }: Pick<JsonServiceOptions, "service" | "clock">,
  path: string,
  response: HttpResponse,
): BlfError {
  const detail = readDetail(service, response);
  const base = { message: `${service.name} refused ${routeOf(path)} (HTTP ${response.status})${detail}` };
  if (response.status === 401 || response.status === 404)
    return new BlfError({ ...base, code: `${service.prefix}_UNKNOWN`, hint: service.hint });
  if (isFailure(response.status)) {
    const failed = { ...base, code: `${service.prefix}_FAILED`, hint: service.hint, retryable: true };
    return new BlfError({ ...failed, cause: retryAfter(response, clock) });
  }
  return new BlfError({ ...base, code: `${service.prefix}_REJECTED`, hint: service.hint });
}

/** What the service says of the reason, made harmless: one line of at most 200 characters. */
function readDetail(service: HttpService, response: HttpResponse): string {
  try {
    const detail = (readJson(service, response) as { detail?: unknown } | null)?.detail;
    return typeof detail === "string" ? `: ${printable(detail).slice(0, 200)}` : "";
  } catch {
    return "";
  }
}

/** The route without identifiers, for messages. */
function routeOf(path: string): string {
  return path.split("?", 1)[0]!.replace(/0x[0-9a-fA-F]{10,}/g, (id) => `${id.slice(0, 10)}…`);
}
