import type { Hash, Hex } from "viem";

/** A transaction that was signed, with every version of it that may have reached the chain. */
export type StoredTransaction = {
  /** What the transaction is for; there is never more than one live transaction per purpose. */
  purpose: string;
  nonce: number;
  /** All versions: the first, then each replacement with a higher fee. */
  hashes: Hash[];
  /** The newest version, ready to be sent again. Public: it holds no secret. */
  raw: Hex;
  status: "pending" | "succeeded" | "reverted";
  /** Milliseconds since the epoch. */
  sentAt: number;
};

/** Remembers transactions across restarts, so that a crash between send and receipt never leads to a second one. */
export type TransactionStore = {
  find(purpose: string): StoredTransaction | undefined;
  save(transaction: StoredTransaction): void;
  /** Those of which nobody knows yet what became of them, lowest nonce first. */
  pending(): StoredTransaction[];
};

/** For commands and tests that need not survive a crash. */
export function createMemoryTransactionStore(): TransactionStore {
  const transactions = new Map<string, StoredTransaction>();
  return {
    find: (purpose) => transactions.get(purpose),
    save: (transaction) => void transactions.set(transaction.purpose, structuredClone(transaction)),
    pending: () =>
      [...transactions.values()].filter(({ status }) => status === "pending").sort((a, b) => a.nonce - b.nonce),
  };
}
