import { splitKey } from "../crypto/key-halves.ts";
import { type RandomBytes, uniform } from "../crypto/random.ts";
import type { Clock } from "../lib/clock.ts";
import { BlfError, errorCode, isRetryable } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { backoff } from "../lib/retry.ts";
import { wipe } from "../lib/secret.ts";
import type { Cofhe, EncryptedKey } from "./cofhe.ts";

/** A key for one output, and its encryption by this wallet. Whoever takes it wipes the key. */
export type OutputKey = {
  /** 32 random bytes. */
  key: Uint8Array<ArrayBuffer>;
  encrypted: EncryptedKey;
};

export type KeyPool = {
  /**
   * A key that nobody had before. When there is none it waits for one to be made, however often that fails, until the signal is aborted.
   * @throws BlfError `COFHE_POOL_CLOSED`, or a final error of the encryption; the signal's reason when aborted.
   */
  take(signal: AbortSignal): Promise<OutputKey>;
  /** How many keys are ready. */
  size(): number;
  /** From now on the pool fills itself ahead of need. */
  start(): void;
  /** Wipes all keys and ends what is under way. Those who wait get `COFHE_POOL_CLOSED`. */
  close(): Promise<void>;
};

export type KeyPoolOptions = {
  cofhe: Cofhe;
  /** Most keys that are kept. One proof makes `cofhe.maxKeysPerProof` of them, or as many as there is room for. */
  capacity?: number;
  /** The pool is filled up when this many keys or fewer are left. */
  refillBelow?: number;
  random: RandomBytes;
  log: Logger;
  clock: Clock;
  /** Whether now is a good moment for a proof. Not asked when somebody waits. */
  canWork?: () => boolean;
};

type Waiter = { give(key: OutputKey): void; fail(reason: unknown): void };

const pauseMs = 1000;
const failures = { initialMs: 1000, maxMs: 30_000 };

/**
 * Output keys that are already encrypted, so that no job waits for a proof: a key depends on the wallet, not on the job
 * (PROTOCOL.md 2.4). They exist in memory only.
 */
export function createKeyPool(options: KeyPoolOptions): KeyPool {
  const { cofhe, capacity = 12, refillBelow = 4, random, log, clock, canWork = () => true } = options;
  const ready: OutputKey[] = [];
  const waiters: Waiter[] = [];
  const closing = new AbortController();
  let started = false;
  let refilling: Promise<void> | undefined;
  /** Ends the wait for a good moment. */
  let hurry = new AbortController();

  const needed = () => !closing.signal.aborted && (waiters.length > 0 || (started && ready.length <= refillBelow));

  const refill = () => {
    if (refilling || !needed()) return;
    refilling = work().finally(() => {
      refilling = undefined;
      refill();
    });
  };

  /** Makes keys until enough are there, more slowly with each failure. It never throws. */
  const work = async (): Promise<void> => {
    for (let failed = 0; needed(); ) {
      try {
        await goodMoment();
        if (!needed()) return;
        await makeKeys();
        failed = 0;
      } catch (error) {
        if (closing.signal.aborted) return;
        log.warn("No output keys could be made", { code: errorCode(error), attempt: failed + 1 });
        if (!isRetryable(error)) for (const waiter of waiters.splice(0)) waiter.fail(error);
        await clock
          .sleep(backoff(failed, { ...failures, random: () => uniform(random) }), closing.signal)
          .catch(() => {});
        failed++;
      }
    }
  };

  const goodMoment = async (): Promise<void> => {
    hurry = new AbortController();
    while (waiters.length === 0 && !closing.signal.aborted && !canWork())
      await clock.sleep(pauseMs, AbortSignal.any([hurry.signal, closing.signal])).catch(() => {});
  };

  const makeKeys = async (): Promise<void> => {
    const count = Math.max(1, Math.min(cofhe.maxKeysPerProof, capacity - ready.length));
    const keys = Array.from({ length: count }, () => random(32));
    const started = clock.now();
    try {
      const encrypted = await cofhe.encryptKeys(keys.map(splitKey), closing.signal);
      closing.signal.throwIfAborted();
      for (const [index, key] of keys.splice(0).entries()) offer({ key, encrypted: encrypted[index]! });
    } finally {
      wipe(...keys);
    }
    log.debug("Output keys made", { count, ms: clock.now() - started });
  };

  const offer = (key: OutputKey) => {
    const waiter = waiters.shift();
    if (waiter) waiter.give(key);
    else ready.push(key);
  };

  const wait = (signal: AbortSignal): Promise<OutputKey> =>
    new Promise((resolve, reject) => {
      const settled = () => signal.removeEventListener("abort", onAbort);
      const waiter: Waiter = {
        give: (key) => {
          settled();
          resolve(key);
        },
        fail: (reason) => {
          settled();
          reject(reason);
        },
      };
      const onAbort = () => {
        waiters.splice(waiters.indexOf(waiter), 1);
        reject(signal.reason);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      waiters.push(waiter);
      hurry.abort();
    });

  return {
    take: async (signal) => {
      signal.throwIfAborted();
      closing.signal.throwIfAborted();
      const key = ready.shift();
      const taken = key ?? wait(signal);
      refill();
      return taken;
    },
    size: () => ready.length,
    start: () => {
      started = true;
      refill();
    },
    close: async () => {
      const reason = poolClosed();
      closing.abort(reason);
      for (const waiter of waiters.splice(0)) waiter.fail(reason);
      wipe(...ready.splice(0).map(({ key }) => key));
      await refilling;
    },
  };
}

function poolClosed(): BlfError {
  return new BlfError({
    code: "COFHE_POOL_CLOSED",
    message: "The pool of output keys was closed",
    hint: "The program is shutting down; start it again to go on.",
  });
}
