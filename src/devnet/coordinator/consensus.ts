import type { Address } from "viem";
import type { VerdictWord } from "./state.ts";

export type Vote = { address: Address; commitment: string; verdict: VerdictWord };

export type Ballot = {
  leader: { address: Address; commitment: string };
  /** Verdicts that are in. */
  verdicts: Vote[];
  /** Seats in the quorum, the leader's included. */
  seats: number;
};

export type Decision = {
  outcome: "accepted" | "rejected" | "open";
  needed: number;
  /** Votes for the leader's result, its own included. */
  confirmations: number;
  /** Verifiers that confirmed the leader's commitment. */
  agreed: Address[];
  /** Verifiers that did not. */
  dissenting: Address[];
  /** Another commitment than the leader's has enough votes: the leader is at fault, not those who differ from it. */
  leaderIsOutlier: boolean;
};

/** Equal commitments that a quorum of `seats` nodes needs (PROTOCOL.md 12). */
export function votesNeeded(seats: number): number {
  return Math.floor((2 * seats + 2) / 3);
}

/** A vote for the leader's result: the same commitment as raw text, and the word CONFIRM. */
export function confirms(vote: Pick<Vote, "commitment" | "verdict">, leaderCommitment: string): boolean {
  return vote.verdict === "CONFIRM" && vote.commitment === leaderCommitment;
}

/**
 * What a quorum has decided so far (PROTOCOL.md 12), with two differences to the original: a REJECT never counts as a
 * confirmation, and only the leader's own result can be accepted, since it is the leader's output that the requester gets.
 */
export function decide(ballot: Ballot): Decision {
  const { leader, verdicts } = ballot;
  const needed = votesNeeded(ballot.seats);
  const agreeing = verdicts.filter((vote) => confirms(vote, leader.commitment));
  const confirmations = 1 + agreeing.length;
  const outstanding = ballot.seats - 1 - verdicts.length;
  const possible = confirmations + outstanding >= needed;
  const outcome = confirmations >= needed ? "accepted" : possible ? "open" : "rejected";
  return {
    outcome,
    needed,
    confirmations,
    agreed: agreeing.map((vote) => vote.address),
    dissenting: verdicts.filter((vote) => !confirms(vote, leader.commitment)).map((vote) => vote.address),
    leaderIsOutlier: mostVotes(verdicts.filter((vote) => vote.commitment !== leader.commitment)) >= needed,
  };
}

/** A REJECT with a commitment of its own is evidence for that commitment, so both words count here. */
function mostVotes(votes: Vote[]): number {
  const counts = new Map<string, number>();
  for (const { commitment } of votes) counts.set(commitment, (counts.get(commitment) ?? 0) + 1);
  return Math.max(0, ...counts.values());
}
