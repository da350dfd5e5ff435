import { failpoint } from "../../lib/faults.ts";
import type { JobChange, JobKey } from "./job-record.ts";
import type { Journal } from "./journal.ts";

/**
 * The journal with a failpoint before and after each thing that it writes. They are named after the state that a job reaches, the fields of
 * it that change, `commitment`, and `transaction-<status>`. Only the test build uses it.
 */
export function withFailpoints(journal: Journal): Journal {
  const between = <T>(points: string[], subject: string, write: () => T): T => {
    for (const point of points) failpoint("before", point, subject);
    const result = write();
    for (const point of points) failpoint("after", point, subject);
    return result;
  };
  const { transactions } = journal;
  return {
    ...journal,
    begin: (assignment) => {
      const { jobId: taskId, role } = assignment;
      return between(["assigned"], subjectOf({ taskId, role }), () => journal.begin(assignment));
    },
    advance: (key, to, change, options) =>
      between([to], subjectOf(key), () => journal.advance(key, to, change, options)),
    update: (key, change: JobChange, options) =>
      between(Object.keys(change), subjectOf(key), () => journal.update(key, change, options)),
    commit: (key, commitment) => between(["commitment"], subjectOf(key), () => journal.commit(key, commitment)),
    transactions: {
      ...transactions,
      save: (transaction) =>
        between([`transaction-${transaction.status}`], transaction.purpose, () => transactions.save(transaction)),
    },
  };
}

/** How a failpoint names a job. */
export function subjectOf({ role, taskId }: JobKey): string {
  return `${role}:${taskId}`;
}
