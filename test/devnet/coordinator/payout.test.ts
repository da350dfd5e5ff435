import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Address, parseEther } from "viem";
import { payouts } from "../../../src/devnet/coordinator/payout.ts";

const address = (index: number): Address => `0x${index.toString(16).padStart(40, "0")}`;
const vote = (commitment: string, verdict: "CONFIRM" | "REJECT" = "CONFIRM") => ({ commitment, verdict });

function pay(amount: bigint, votes: (ReturnType<typeof vote> | undefined)[], leaderCommitment = "L") {
  const paid = payouts({
    amount,
    commitment: "L",
    leader: { address: address(0), commitment: leaderCommitment },
    verifiers: votes.map((item, index) => ({ address: address(index + 1), vote: item })),
  });
  return paid.map((payout) => [Number(payout.address), payout.amount] as const);
}

test("one BLIND among a leader and two verifiers is 0.6, 0.2 and 0.2", () => {
  expect(pay(parseEther("1"), [vote("L"), vote("L")])).toEqual([
    [0, parseEther("0.6")],
    [1, parseEther("0.2")],
    [2, parseEther("0.2")],
  ]);
});

test("wei that do not divide go to the leader", () => {
  expect(pay(11n, [vote("L"), vote("L")])).toEqual([
    [0, 7n],
    [1, 2n],
    [2, 2n],
  ]);
  expect(pay(1n, [vote("L"), vote("L")])).toEqual([[0, 1n]]);
});

test("other quorums share the verifiers' 40 % equally", () => {
  expect(pay(1000n, [vote("L")])).toEqual([
    [0, 600n],
    [1, 400n],
  ]);
  expect(pay(1000n, [vote("L"), vote("L"), vote("L")])).toEqual([
    [0, 601n],
    [1, 133n],
    [2, 133n],
    [3, 133n],
  ]);
});

test("the share of a verifier that did not earn it is kept", () => {
  for (const missed of [undefined, vote("A"), vote("L", "REJECT")])
    expect(pay(10n, [missed, vote("L")])).toEqual([
      [0, 6n],
      [2, 2n],
    ]);
});

test("nobody is paid without having sent the accepted commitment, and never more than the job is worth", () => {
  const votes = fc.option(
    fc.record({
      commitment: fc.constantFrom("L", "A"),
      verdict: fc.constantFrom("CONFIRM" as const, "REJECT" as const),
    }),
    { nil: undefined },
  );
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: 10n ** 30n }),
      fc.array(votes, { minLength: 1, maxLength: 5 }),
      fc.constantFrom("L", "A"),
      (amount, items, leaderCommitment) => {
        const paid = pay(amount, items, leaderCommitment);
        expect(paid.reduce((sum, [, value]) => sum + value, 0n)).toBeLessThanOrEqual(amount);
        for (const [index, value] of paid) {
          expect(value).toBeGreaterThan(0n);
          expect(index === 0 ? leaderCommitment : items[index - 1]?.commitment).toBe("L");
        }
      },
    ),
  );
});

test("when everybody agrees, nothing is left over", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 1n, max: 10n ** 30n }), fc.integer({ min: 1, max: 5 }), (amount, count) => {
      const paid = pay(
        amount,
        Array.from({ length: count }, () => vote("L")),
      );
      expect(paid.reduce((sum, [, value]) => sum + value, 0n)).toBe(amount);
    }),
  );
});
