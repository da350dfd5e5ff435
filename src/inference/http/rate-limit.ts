import type { Clock } from "../../lib/clock.ts";
import type { BackendHealth } from "../backend.ts";
import type { Service } from "./service.ts";

/** What is known of a service's limit on requests. All requests to it share this. */
export type RateLimit = {
  /** Until a request may be sent, in milliseconds; 0 when one may be sent now. */
  waitMs(): number;
  /** The service refused a request; the next may be sent after so many milliseconds. */
  refused(ms: number): void;
  /** Trying again was no use, and the service does not say when it will be. */
  gaveUp(): void;
  answered(): void;
  /** Degraded while the service refuses requests. */
  health(): BackendHealth;
};

const firstPauseMs = 60_000;
const longestPauseMs = 15 * 60_000;

export function createRateLimit(service: Service, clock: Clock): RateLimit {
  let until = 0;
  let pauses = 0;
  const waitMs = () => Math.max(0, until - clock.now());
  const refused = (ms: number) => {
    until = Math.max(until, clock.now() + ms);
  };
  return {
    waitMs,
    refused,
    gaveUp: () => refused(Math.min(longestPauseMs, firstPauseMs * 2 ** pauses++)),
    answered: () => {
      until = 0;
      pauses = 0;
    },
    health: () => {
      const seconds = Math.ceil(waitMs() / 1000);
      if (seconds === 0) return { status: "healthy", detail: "" };
      return { status: "degraded", detail: `${service.name} allows no request for another ${seconds} s` };
    },
  };
}
