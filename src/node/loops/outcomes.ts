import type { JobStatus } from "../../icl/wire.ts";
import { errorCode } from "../../lib/errors.ts";
import type { NodeContext } from "../context.ts";
import type { JobRecord } from "../journal/job-record.ts";
import { startLoop } from "./loop.ts";

/** A quorum that has not decided after so long, in milliseconds, is not asked about any more. */
const patienceMs = 24 * 3_600_000;
/** Jobs that are asked about in one round, and those among which they are chosen. */
const batch = 20;
const mostOpen = 1000;

type Outcome = "settled" | "QUORUM_REJECTED" | "QUORUM_DISSENT" | "QUORUM_TIMED_OUT";

/**
 * How a job ended for this node, as its coordinator says (PROTOCOL.md 4.7); undefined while the quorum has not decided. A verifier is right
 * when it committed to the leader's answer and that was accepted, or to another one and it was rejected.
 */
function outcomeOf(record: Pick<JobRecord, "role" | "commitment">, status: JobStatus): Outcome | undefined {
  const { leaderCommitment } = status;
  const differs =
    record.role === "verifier" && leaderCommitment !== undefined && leaderCommitment !== record.commitment;
  switch (status.status.toUpperCase()) {
    case "ACCEPTED":
      return differs ? "QUORUM_DISSENT" : "settled";
    case "REJECTED":
      return differs ? "settled" : "QUORUM_REJECTED";
    case "TIMEDOUT":
    case "FAILED":
      return "QUORUM_TIMED_OUT";
    default:
      return undefined;
  }
}

const hints: Record<Exclude<Outcome, "settled">, string> = {
  QUORUM_REJECTED:
    "The verifiers answered differently. Compare with another operator: `blindference test-determinism --export`.",
  QUORUM_DISSENT:
    "The others agreed on another answer. Compare with one of them: `blindference test-determinism --export`.",
  QUORUM_TIMED_OUT: "Nothing to do here: too few nodes of the quorum answered.",
};

/** Asks how the jobs ended whose results were submitted, so that an operator hears of an answer that was not accepted before it costs stake. */
export function startOutcomeLoop(ctx: NodeContext, signal: AbortSignal) {
  const { journal, icl, clock, log } = ctx;

  const note = (record: JobRecord, outcome: Outcome): void => {
    const { taskId, role } = record;
    if (outcome === "settled") {
      journal.advance({ taskId, role }, "settled");
      return;
    }
    journal.advance({ taskId, role }, "failed", { failureCode: outcome });
    log.error("a submitted result did not count", { jobId: taskId, role, code: outcome, hint: hints[outcome] });
  };

  /** In which round a job was last asked about. */
  let asked = new Map<string, number>();
  let round = 0;

  /** The newest jobs that were not asked about yet, then those for which it is longest ago: jobs that are never decided keep no others waiting. */
  const nextJobs = (): JobRecord[] => {
    const open = journal.undecided(clock.now() - patienceMs, mostOpen);
    const lastAsked = (record: JobRecord) => asked.get(idOf(record)) ?? 0;
    const next = open.toSorted((a, b) => lastAsked(a) - lastAsked(b)).slice(0, batch);
    asked = new Map(open.map((record) => [idOf(record), lastAsked(record)]));
    round++;
    for (const record of next) asked.set(idOf(record), round);
    return next;
  };

  const run = async (s: AbortSignal) => {
    for (const record of nextJobs()) {
      const status = await icl.jobStatus(record.taskId, s).catch((error: unknown) => {
        // It has forgotten the job, or never knew it under this name: the next one may be another matter.
        if (errorCode(error) !== "ICL_UNKNOWN") throw error;
        return undefined;
      });
      const outcome = status && outcomeOf(record, status);
      if (outcome) note(record, outcome);
    }
  };
  return startLoop(ctx, { name: "outcomes", periodMs: 120_000, jitter: 0.2, run }, signal);
}

function idOf({ role, taskId }: JobRecord): string {
  return `${role}:${taskId}`;
}
