import type { Address } from "viem";
import type { Role, VerdictWord } from "./state.ts";

export type Stage =
  | "submitted"
  | "assigned"
  | "claimed"
  | "leaderResult"
  | "verdict"
  | "accepted"
  | "rejected"
  | "replaced"
  | "failed"
  | "settled";

/** One step of a job, as it happens. */
export type CoordinatorEvent = {
  stage: Stage;
  taskId: string;
  requestId: string;
  /** Milliseconds since the epoch. */
  at: number;
  address?: Address;
  role?: Role;
  commitment?: string;
  verdict?: VerdictWord;
  outputCid?: string;
  reason?: string;
  /** What was really paid, in wei of BLIND. */
  rewards?: Record<Address, bigint>;
};

export type Listener = (event: CoordinatorEvent) => void;

export type Events = {
  /** @returns a function that ends the subscription */
  subscribe(listener: Listener): () => void;
  emit(event: CoordinatorEvent): void;
};

/** `onError` hears of listeners that throw; they disturb neither the job nor each other. */
export function createEvents(onError: (error: unknown) => void): Events {
  const listeners = new Set<Listener>();
  return {
    subscribe: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    emit: (event) => {
      for (const listener of [...listeners]) {
        try {
          listener(event);
        } catch (error) {
          onError(error);
        }
      }
    },
  };
}
