import type { Address } from "viem";
import { confirms } from "./consensus.ts";
import type { Role, VerdictWord } from "./state.ts";

export type Payout = {
  address: Address;
  role: Role;
  /** Wei of BLIND, more than 0. */
  amount: bigint;
};

export type PayoutParameters = {
  /** What the job is worth, in wei of BLIND. */
  amount: bigint;
  /** The commitment that was accepted. */
  commitment: string;
  leader: { address: Address; commitment: string };
  /** Every verifier of the quorum; without a vote when it said nothing. */
  verifiers: { address: Address; vote: { commitment: string; verdict: VerdictWord } | undefined }[];
};

/**
 * Who is paid for an accepted job (PROTOCOL.md 14): 60 % for the leader, 40 % shared equally among the verifiers' seats,
 * which makes 20 % each for two; wei that do not divide go to the leader. A node is paid only for an answer of its own
 * that equals the accepted one; the share of a seat that did not earn it is not paid to anybody.
 */
export function payouts(parameters: PayoutParameters): Payout[] {
  const { amount, commitment, leader, verifiers } = parameters;
  const verifierShare = verifiers.length === 0 ? 0n : (amount * 40n) / 100n / BigInt(verifiers.length);
  const leaderShare =
    verifiers.length === 0 ? (amount * 60n) / 100n : amount - verifierShare * BigInt(verifiers.length);
  const paid: Payout[] = [];
  if (leader.commitment === commitment) paid.push({ address: leader.address, role: "leader", amount: leaderShare });
  for (const { address, vote } of verifiers)
    if (vote && confirms(vote, commitment)) paid.push({ address, role: "verifier", amount: verifierShare });
  return paid.filter((payout) => payout.amount > 0n);
}
