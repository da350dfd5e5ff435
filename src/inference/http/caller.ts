import { type BlfError, errorCode } from "../../lib/errors.ts";
import { backoff } from "../../lib/retry.ts";
import { notJson, rateLimited } from "./errors.ts";
import { type ExchangeRequest, exchange, type Wire } from "./exchange.ts";
import { createRateLimit, type RateLimit } from "./rate-limit.ts";
import { refusalOf, retryAfterMs } from "./refusal.ts";
import type { Service } from "./service.ts";

export type CallRequest = ExchangeRequest & {
  /** The model's name at the service, for errors. */
  model?: string;
};

/** Talks to one service, patiently. */
export type Caller = {
  /**
   * The text of an answer with HTTP 200, which is JSON. 408, 429, 5xx and lost connections are tried again with backoff, or when
   * `Retry-After` says; the signal bounds all of it.
   * @throws BlfError of `<prefix>_*`, `MODEL_PROMPT_TOO_LONG`; the signal's reason when aborted
   */
  call(request: CallRequest): Promise<string>;
  limit: RateLimit;
};

/** An answer is asked for so often in all. */
const attempts = 4;
const delays = { initialMs: 500, maxMs: 8000 };
/** A service that asks for more patience than this is not waited for, in milliseconds. */
const longestWaitMs = 60_000;

export function createCaller(service: Service, wire: Wire): Caller {
  const { clock } = wire;
  const limit = createRateLimit(service, clock);

  const awaitLimit = async (signal: AbortSignal): Promise<void> => {
    for (let wait = limit.waitMs(); wait > 0; wait = limit.waitMs()) {
      if (wait > longestWaitMs) throw rateLimited(service, wait, false);
      await clock.sleep(wait, signal);
    }
  };

  /** The answer, or why there is none; throws what trying again cannot mend. */
  const attempt = async (request: CallRequest, number: number): Promise<string | BlfError> => {
    await awaitLimit(request.signal);
    const response = await exchange(service, wire, request);
    if (response.status === 200) {
      limit.answered();
      if (!isJson(response.text)) throw notJson(service);
      return response.text;
    }
    const asked = retryAfterMs(response, clock);
    if (response.status === 429) {
      limit.refused(asked ?? backoff(number, delays));
      return rateLimited(service, limit.waitMs(), true);
    }
    const error = refusalOf(service, response, request.model);
    if (response.status < 500 && !error.retryable) throw error;
    if (asked !== undefined) limit.refused(asked);
    return error;
  };

  return {
    limit,
    call: async (request) => {
      for (let number = 0; ; number++) {
        const outcome = await attempt(request, number).catch((error: BlfError) => {
          request.signal.throwIfAborted();
          if (/_(UNREACHABLE|CONNECTION_LOST)$/.test(errorCode(error))) return error;
          throw error;
        });
        if (typeof outcome === "string") return outcome;
        const isLast = number + 1 >= attempts;
        const isLimit = outcome.code.endsWith("_RATE_LIMITED");
        if (isLast && isLimit) limit.gaveUp();
        if (isLast) throw isLimit ? rateLimited(service, limit.waitMs(), true) : outcome;
        if (limit.waitMs() === 0) await clock.sleep(backoff(number, delays), request.signal);
      }
    },
  };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
