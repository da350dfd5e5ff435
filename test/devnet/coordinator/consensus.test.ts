import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Address } from "viem";
import { type Ballot, decide, type Vote, votesNeeded } from "../../../src/devnet/coordinator/consensus.ts";

const address = (index: number): Address => `0x${index.toString(16).padStart(40, "0")}`;
const leader = { address: address(0), commitment: "L" };

test("votes needed, as PROTOCOL.md 12 lists them", () => {
  expect([2, 3, 4, 5, 6].map(votesNeeded)).toEqual([2, 2, 3, 4, 4]);
});

describe("three nodes, every combination of two verifiers", () => {
  const answers: (Omit<Vote, "address"> | undefined)[] = [
    undefined,
    ...["L", "A", "B"].flatMap((commitment) =>
      (["CONFIRM", "REJECT"] as const).map((verdict) => ({ commitment, verdict })),
    ),
  ];
  for (const first of answers)
    for (const second of answers) {
      const name = [first, second].map((vote) => (vote ? `${vote.verdict} ${vote.commitment}` : "silence")).join(", ");
      test(name, () => {
        const verdicts = [first, second].flatMap((vote, index) =>
          vote ? [{ ...vote, address: address(index + 1) }] : [],
        );
        const decision = decide({ leader, verdicts, seats: 3 });
        const confirming = [first, second].filter((vote) => vote?.verdict === "CONFIRM" && vote.commitment === "L");
        // Two of three are enough, and one of them is the leader.
        const expected = confirming.length > 0 ? "accepted" : first && second ? "rejected" : "open";
        expect(decision.outcome).toBe(expected);
        expect(decision.confirmations).toBe(1 + confirming.length);
        const both = first !== undefined && first.commitment === second?.commitment && first.commitment !== "L";
        expect(decision.leaderIsOutlier).toBe(both);
      });
    }
});

test("commitments are compared as raw text: case and 0x matter", () => {
  for (const commitment of ["0xab", "AB", " ab"]) {
    const verdicts: Vote[] = [{ address: address(1), commitment, verdict: "CONFIRM" }];
    expect(decide({ leader: { ...leader, commitment: "ab" }, verdicts, seats: 2 }).outcome).toBe("rejected");
  }
});

const ballots: fc.Arbitrary<Ballot> = fc.integer({ min: 2, max: 6 }).chain((seats) =>
  fc
    .array(fc.record({ commitment: fc.constantFrom("L", "A", "B"), verdict: fc.constantFrom("CONFIRM", "REJECT") }), {
      maxLength: seats - 1,
    })
    .map((votes) => ({
      leader,
      seats,
      verdicts: votes.map((vote, index) => ({ ...vote, address: address(index + 1) }) as Vote),
    })),
);

test("a leader that others outvote is never accepted", () => {
  fc.assert(
    fc.property(ballots, (ballot) => {
      const decision = decide(ballot);
      if (decision.leaderIsOutlier) expect(decision.outcome).not.toBe("accepted");
    }),
  );
});

test("a decision is never taken back by a later verdict", () => {
  fc.assert(
    fc.property(ballots, (ballot) => {
      const earlier = ballot.verdicts.map((_, count) =>
        decide({ ...ballot, verdicts: ballot.verdicts.slice(0, count) }),
      );
      const final = decide(ballot).outcome;
      for (const { outcome } of earlier) if (outcome !== "open") expect(final).toBe(outcome);
    }),
  );
});

test("with all verdicts in there is always a decision, and acceptance has at least the votes needed", () => {
  fc.assert(
    fc.property(ballots, (ballot) => {
      const decision = decide(ballot);
      if (ballot.verdicts.length === ballot.seats - 1) expect(decision.outcome).not.toBe("open");
      const equal = ballot.verdicts.filter((vote) => vote.commitment === "L" && vote.verdict === "CONFIRM").length + 1;
      if (decision.outcome === "accepted") expect(3 * equal + 2).toBeGreaterThanOrEqual(2 * ballot.seats + 2);
      expect(decision.agreed.length + decision.dissenting.length).toBe(ballot.verdicts.length);
    }),
  );
});
