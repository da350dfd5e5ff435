import type { Database } from "bun:sqlite";
import type { Role } from "../../icl/wire.ts";
import type { Clock } from "../../lib/clock.ts";
import { BlfError } from "../../lib/errors.ts";

type Key = { taskId: string; role: Role };

/**
 * One commitment per job and role for ever, as a validator's slashing protection keeps one vote per slot. Call `insert`
 * inside a transaction: looking and writing are one act.
 */
export function createCommitmentLedger(db: Database, clock: Clock) {
  return {
    insert: (key: Key, commitment: string): void => {
      const earlier = db
        .query("SELECT commitment FROM commitments WHERE task_id = ? AND role = ?")
        .get(key.taskId, key.role) as { commitment: string } | null;
      if (earlier?.commitment === commitment) return;
      if (earlier)
        throw new BlfError({
          code: "COMMITMENT_CONFLICT",
          message: `This node has already committed to a different output of job ${key.taskId}`,
          hint: "The new output is dropped, the first commitment stands.",
        });
      db.query("INSERT INTO commitments VALUES (?, ?, ?, ?)").run(key.taskId, key.role, commitment, clock.now());
    },
    all: (): (Key & { commitment: string; createdAt: number })[] =>
      db
        .query(
          `SELECT task_id AS taskId, role, commitment, created_at AS createdAt FROM commitments ORDER BY created_at, task_id`,
        )
        .all() as (Key & { commitment: string; createdAt: number })[],
  };
}
