import type { Clock } from "./clock.ts";
import { backoff } from "./retry.ts";

export type CircuitOptions = {
  /** So many failures in a row open the circuit. */
  threshold: number;
  /** How long it stays open at first and at most, in milliseconds: after that one call is let through to try. */
  initialMs: number;
  maxMs: number;
  /** The longest wish of the service to be left alone that is granted, in milliseconds. */
  maxRetryAfterMs: number;
};

export type CircuitState = {
  name: string;
  /** `half-open`: it may be tried again, and was not yet. */
  state: "closed" | "open" | "half-open";
  /** In a row. */
  failures: number;
};

/**
 * What is known of one service that this node depends on. It decides nothing by itself: whoever has another service to ask, or a call
 * that can wait, asks it; what a job cannot do without is sent all the same.
 */
export type Circuit = {
  /** Whether the service failed too often of late and its time is not over. */
  isOpen(): boolean;
  /** Whether a call that can wait may be made. When the time is over this lets one through, and the next one as much time later. */
  admits(): boolean;
  succeeded(): void;
  /** @param retryAfterMs what the service asks for, in milliseconds; it opens the circuit at once */
  failed(retryAfterMs?: number): void;
};

export type Circuits = {
  /** The circuit of that name; made at the first call, whose options count. */
  of(name: string, options: CircuitOptions): Circuit;
  states(): CircuitState[];
};

export type CircuitsOptions = {
  clock: Clock;
  /** From 0 to 1, so that nodes do not come back all at once; without it there is no jitter. */
  random?: () => number;
};

/** The circuits of all services of one process. */
export function createCircuits({ clock, random = () => 1 }: CircuitsOptions): Circuits {
  const circuits = new Map<string, Circuit & { state(): Omit<CircuitState, "name"> }>();
  return {
    of: (name, options) => {
      const circuit = circuits.get(name) ?? createCircuit(clock, random, options);
      circuits.set(name, circuit);
      return circuit;
    },
    states: () => [...circuits].map(([name, circuit]) => ({ name, ...circuit.state() })),
  };
}

function createCircuit(clock: Clock, random: () => number, options: CircuitOptions) {
  let failures = 0;
  let opened = 0;
  let closedAgainAt = Number.NEGATIVE_INFINITY;
  let lengthMs = 0;
  let isTried = false;

  const isTripped = () => lengthMs > 0;
  // A clock that was set back must not keep it open for longer than it was meant to be.
  const isOpen = () => isTripped() && clock.now() < closedAgainAt && closedAgainAt - clock.now() <= lengthMs;
  const open = (ms: number) => {
    lengthMs = ms;
    closedAgainAt = clock.now() + ms;
  };

  return {
    isOpen,
    admits: () => {
      if (isOpen()) return false;
      isTried = isTripped();
      if (isTried) open(lengthMs);
      return true;
    },
    succeeded: () => {
      failures = 0;
      opened = 0;
      lengthMs = 0;
      isTried = false;
    },
    failed: (retryAfterMs = 0) => {
      failures++;
      const wish = Math.min(retryAfterMs, options.maxRetryAfterMs);
      if (failures < options.threshold && wish <= 0) return;
      // Calls that fail while it is open are the same failure of the service, except for the one that was to try.
      const own = isOpen() && !isTried ? 0 : backoff(opened++, { ...options, random });
      isTried = false;
      const rest = isOpen() ? closedAgainAt - clock.now() : 0;
      open(Math.max(own, rest, wish));
    },
    state: () => ({
      state: isOpen() ? ("open" as const) : isTripped() ? ("half-open" as const) : ("closed" as const),
      failures,
    }),
  };
}
