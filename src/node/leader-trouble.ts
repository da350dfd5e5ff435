import type { NodeContext } from "./context.ts";

/** Failures that every job which this node leads would end with, until its operator does something. */
const reasons: Record<string, string> = {
  CHAIN_INSUFFICIENT_FUNDS: "its wallet cannot pay for gas",
  IPFS_UPLOAD_UNAUTHORISED: "the upload service refuses its token",
};

/** After so long it is tried again, in milliseconds: the operator may have mended it. */
const forgottenAfterMs = 60 * 60_000;

const fact = "leader-trouble";

/** Remembers that a leader's job failed for something that the next one would fail for too; a job that was led to its end clears it. */
export function noteLeaderOutcome({ journal, clock }: NodeContext, failureCode: string | undefined): void {
  if (failureCode === undefined && journal.fact(fact) !== undefined) journal.setFact(fact, "");
  if (failureCode !== undefined && Object.hasOwn(reasons, failureCode))
    journal.setFact(fact, `${failureCode} ${clock.now()}`);
}

/** Why this node should lead no jobs for a while, or undefined. A restart by the operator does not clear it: `noteLeaderOutcome` and time do. */
export function leaderTrouble({ journal, clock }: Pick<NodeContext, "journal" | "clock">): string | undefined {
  const [code = "", at] = (journal.fact(fact) ?? "").split(" ");
  const age = clock.now() - Number(at);
  return age >= 0 && age < forgottenAfterMs && Object.hasOwn(reasons, code) ? reasons[code] : undefined;
}
