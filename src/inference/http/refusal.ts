import type { Clock } from "../../lib/clock.ts";
import type { BlfError } from "../../lib/errors.ts";
import {
  keyRefused,
  modelUnknown,
  promptRejected,
  promptTooLong,
  redirected,
  serverError,
  unavailable,
  unexpectedAnswer,
} from "./errors.ts";
import type { ExchangeResponse } from "./exchange.ts";
import type { Service } from "./service.ts";

/** So much of an error's body is looked at, in characters. */
const lookedAt = 20_000;

/** What an answer other than HTTP 200 or 429 means. Its body is searched for words that are known, and never quoted. */
export function refusalOf(service: Service, { status, text }: ExchangeResponse, model: string | undefined): BlfError {
  const body = text.slice(0, lookedAt);
  if (status >= 300 && status < 400) return redirected(service);
  if (status === 401 || status === 403) return keyRefused(service, status);
  if (status === 404) return modelUnknown(service, model);
  if (status === 400 || status === 413 || status === 422) {
    if (/API_KEY_INVALID|invalid_api_key/.test(body)) return keyRefused(service, status);
    if (/model_not_found|model_decommissioned/.test(body)) return modelUnknown(service, model);
    if (/context.{0,10}(length|size|window)|exceed_context|too long|input token count/i.test(body))
      return promptTooLong(service);
    return promptRejected(service, status);
  }
  if ([408, 502, 503, 504, 529].includes(status)) return unavailable(service, status);
  if (status >= 500) return serverError(service, status);
  return unexpectedAnswer(service, `HTTP ${status}`);
}

/** How long the service asks to wait, in milliseconds: `Retry-After` as seconds or date, or Google's `retryDelay`. */
export function retryAfterMs({ headers, text }: ExchangeResponse, clock: Clock): number | undefined {
  const header = headers.get("retry-after")?.trim();
  if (header && /^\d+(\.\d+)?$/.test(header)) return Number(header) * 1000;
  // All dates of HTTP begin with the day's name; the runtime would take a mere number for a year.
  const date = header && /^[a-z]{3}/i.test(header) ? Date.parse(header) : Number.NaN;
  if (!Number.isNaN(date)) return Math.max(0, date - clock.now());
  const delay = /"retryDelay"\s*:\s*"(\d+(?:\.\d+)?)s"/.exec(text.slice(0, lookedAt))?.[1];
  return delay === undefined ? undefined : Number(delay) * 1000;
}
