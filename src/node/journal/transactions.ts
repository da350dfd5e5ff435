import type { Database } from "bun:sqlite";
import type { Hash, Hex } from "viem";
import type { StoredTransaction, TransactionStore } from "../../chain/transaction-store.ts";

type Row = { purpose: string; nonce: number; hashes: string; raw: string; status: string; sent_at: number };

/** The journal's table of transactions; `write` makes each change durable before it returns. */
export function createTransactionTable(db: Database, write: (action: () => void) => void): TransactionStore {
  const fromRow = (row: Row): StoredTransaction => ({
    purpose: row.purpose,
    nonce: row.nonce,
    hashes: JSON.parse(row.hashes) as Hash[],
    raw: row.raw as Hex,
    status: row.status as StoredTransaction["status"],
    sentAt: row.sent_at,
  });
  return {
    find: (purpose) => {
      const row = db.query("SELECT * FROM transactions WHERE purpose = ?").get(purpose) as Row | null;
      return row ? fromRow(row) : undefined;
    },
    pending: () =>
      (db.query("SELECT * FROM transactions WHERE status = 'pending' ORDER BY nonce").all() as Row[]).map(fromRow),
    save: (transaction) =>
      write(() => {
        db.query("INSERT OR REPLACE INTO transactions VALUES (?, ?, ?, ?, ?, ?)").run(
          transaction.purpose,
          transaction.nonce,
          JSON.stringify(transaction.hashes),
          transaction.raw,
          transaction.status,
          transaction.sentAt,
        );
      }),
  };
}
