import { BlfError } from "../../lib/errors.ts";

/** A job's way through the node (DESIGN.md section 3). */
export const jobStates = [
  "assigned",
  "claimed",
  "generated",
  "uploaded",
  "key-stored",
  "committed",
  "submitted",
  "settled",
  "failed",
] as const;

export type JobState = (typeof jobStates)[number];

/**
 * The legal transitions. A verifier uploads nothing and stores no key, so it commits right after it generated. A leader's key may be
 * stored before or after its output is uploaded, but both come before the commitment. A job that was interrupted before its output was
 * safe generates it again.
 */
const transitions: Record<JobState, readonly JobState[]> = {
  assigned: ["claimed", "failed"],
  claimed: ["generated", "failed"],
  generated: ["generated", "uploaded", "committed", "failed"],
  uploaded: ["key-stored", "failed"],
  "key-stored": ["committed", "failed"],
  committed: ["submitted", "failed"],
  submitted: ["settled", "failed"],
  settled: [],
  failed: [],
};

/** States in which nothing is left to do. */
export const finishedStates: readonly JobState[] = ["submitted", "settled", "failed"];

/** @throws BlfError `JOURNAL_ILLEGAL_TRANSITION` */
export function assertTransition(from: JobState, to: JobState): void {
  if (transitions[from].includes(to)) return;
  throw new BlfError({
    code: "JOURNAL_ILLEGAL_TRANSITION",
    message: `A job cannot go from "${from}" to "${to}"`,
    hint: "This is a defect of the node: please report it with the log.",
  });
}
