import type { Database } from "bun:sqlite";
import { join } from "node:path";
import type { Clock } from "../lib/clock.ts";
import { BlfError, errorCode } from "../lib/errors.ts";
import { type FileLock, tryLockFile } from "../lib/file-lock.ts";
import { createLock } from "../lib/lock.ts";
import type { Logger } from "../lib/log.ts";
import { type Nonces, nonceTrustMs } from "./nonces.ts";

export type WalletLockOptions = {
  /** The data directory that the processes share. */
  dir: string;
  address: string;
  chainId: number;
  clock: Clock;
  log: Logger;
  /** How long another process may hold the lock, in milliseconds: longer than its RPC may take to answer. */
  timeoutMs?: number;
};

const table = `CREATE TABLE IF NOT EXISTS nonces (
  wallet TEXT PRIMARY KEY, next INTEGER NOT NULL, written_at INTEGER NOT NULL
) STRICT`;

type Row = { next: number; written_at: number };

/** Between two looks at the lock, in milliseconds; random, so that waiting processes do not go in step. */
const lookEveryMs = { shortest: 4, longest: 24 };

/**
 * Nonces of a wallet that several processes use at once, such as a daemon and a command. Waiting does not block this
 * process.
 * @throws BlfError `WALLET_BUSY` (retryable), `WALLET_LOCK_UNAVAILABLE`
 */
export function createSharedNonces(options: WalletLockOptions): Nonces {
  const { clock, log, timeoutMs = 120_000 } = options;
  const path = join(options.dir, "wallet.lock");
  const inTurn = createLock();

  const acquire = async (signal: AbortSignal | undefined): Promise<FileLock> => {
    for (const giveUpAt = clock.now() + timeoutMs; ; ) {
      signal?.throwIfAborted();
      const lock = tryLock(path);
      if (lock) return lock;
      if (clock.now() >= giveUpAt) throw busy(timeoutMs);
      const { shortest, longest } = lookEveryMs;
      await clock.sleep(shortest + Math.random() * (longest - shortest), signal);
    }
  };

  const read = (db: Database): number => {
    const row = db.query("SELECT next, written_at FROM nonces WHERE wallet = ?").get(walletOf(options)) as Row | null;
    const age = clock.now() - (row?.written_at ?? 0);
    return row && age >= 0 && age < nonceTrustMs ? row.next : 0;
  };

  /** Lets the lock go. What is written is a hint for a minute, so that no error of it may hide what became of a transaction. */
  const release = (lock: FileLock, next: number | undefined): void => {
    const { db } = lock;
    try {
      if (next !== undefined)
        db.query("INSERT OR REPLACE INTO nonces VALUES (?, ?, ?)").run(walletOf(options), next, clock.now());
      db.run("COMMIT");
    } catch (error) {
      log.warn("the wallet's lock file cannot be written", { code: errorCode(error) });
    } finally {
      lock.release();
    }
  };

  return {
    exclusively: (action, signal) =>
      inTurn(async () => {
        const lock = await acquire(signal);
        let written: number | undefined;
        try {
          const before = read(lock.db);
          const shared = { next: before };
          try {
            return await action(shared);
          } finally {
            if (shared.next !== before) written = shared.next;
          }
        } finally {
          release(lock, written);
        }
      }),
  };
}

/** The lock with its table, or undefined while another process has it. */
function tryLock(path: string): FileLock | undefined {
  let lock: FileLock | undefined;
  try {
    lock = tryLockFile(path, { keepsData: true });
    lock?.db.run(table);
    return lock;
  } catch (error) {
    lock?.release();
    throw new BlfError({
      code: "WALLET_LOCK_UNAVAILABLE",
      message: `The lock file ${path} cannot be used (${errorCode(error)})`,
      hint: "Check that the data directory is writable; a damaged wallet.lock may be deleted while nothing runs.",
      cause: error,
    });
  }
}

function walletOf({ address, chainId }: WalletLockOptions): string {
  return `${chainId}:${address.toLowerCase()}`;
}

function busy(timeoutMs: number): BlfError {
  return new BlfError({
    code: "WALLET_BUSY",
    message: `Another process has been signing with this wallet for ${timeoutMs / 1000} s`,
    hint: "Wait until that command ends, or stop it if it hangs. Nothing was sent.",
    retryable: true,
  });
}
