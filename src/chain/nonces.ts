import type { Clock } from "../lib/clock.ts";
import { createLock } from "../lib/lock.ts";

/** What the senders of one wallet agree on: who may take the next nonce, and which one that is at least. */
export type Nonces = {
  /** Runs one action at a time. What the action writes into `shared.next` is what the next one finds there. */
  exclusively<T>(action: (shared: SharedNonce) => Promise<T>, signal?: AbortSignal): Promise<T>;
};

/** `next`: the lowest nonce that may be free, whatever the RPC says; 0 to believe the RPC. */
export type SharedNonce = { next: number };

/**
 * The machines behind an RPC are not equally far: for so long, in milliseconds, the nonce that was given out last counts for more than
 * what the RPC says. After that the RPC is right, as when a transaction was dropped or a test network began anew.
 */
export const nonceTrustMs = 60_000;

/** Nonces of a wallet that only this sender uses. */
export function createMemoryNonces(clock: Clock): Nonces {
  const inTurn = createLock();
  let next = 0;
  let writtenAt = 0;
  return {
    exclusively: (action) =>
      inTurn(async () => {
        const before = clock.now() - writtenAt < nonceTrustMs ? next : 0;
        const shared = { next: before };
        try {
          return await action(shared);
        } finally {
          if (shared.next !== before) writtenAt = clock.now();
          next = shared.next;
        }
      }),
  };
}
