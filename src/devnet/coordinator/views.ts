import type { Address } from "viem";
import { formatUnits } from "viem";
import { packages } from "./accounts.ts";
import { confirms } from "./consensus.ts";
import { countVotes } from "./lifecycle.ts";
import { paidRewards } from "./outbox.ts";
import { reputation } from "./quorum.ts";
import { type Account, type Job, type NodeRecord, type Role, type Seat, seats, type VerdictWord } from "./state.ts";

/** Status of a text job as every reader of it sees it (PROTOCOL.md 5.6). A job that failed is TIMEDOUT, not queued for ever. */
export function statusWord(job: Job): "QUEUED" | "ACCEPTED" | "REJECTED" | "TIMEDOUT" {
  if (job.status === "accepted") return "ACCEPTED";
  if (job.status === "rejected") return "REJECTED";
  return job.status === "failed" ? "TIMEDOUT" : "QUEUED";
}

/** PROTOCOL.md 4.3. `deadline` is when the node must have claimed by. */
export function assignmentView(job: Job, seat: Seat, assignmentLife: number): Record<string, unknown> {
  return {
    jobId: job.taskId,
    role: seat.role,
    modelId: job.modelId,
    promptCid: job.promptCid,
    deadline: seat.assignedAt + assignmentLife,
    insuranceOptIn: false,
    userAddress: job.developer,
    kpHighHandle: job.promptKey?.high.toString() ?? null,
    kpLowHandle: job.promptKey?.low.toString() ?? null,
    permit: null,
  };
}

/**
 * What a node is told about a job (PROTOCOL.md 4.7). The leader's commitment is shown to the leader, to a verifier whose own
 * is in, and to everybody once no more verdicts are taken: nobody can copy it. The CID is needed to commit at all.
 */
export function nodeStatusView(job: Job, reader: Address): Record<string, unknown> {
  const seat = seats(job).find(({ address }) => address === reader);
  const mayKnow = job.closedAt !== undefined || seat?.state === "answered";
  return {
    jobId: job.taskId,
    status: statusWord(job),
    outputCid: job.result?.outputCid ?? null,
    leaderCommitment: mayKnow ? (job.result?.commitment ?? null) : null,
    failureReason: job.reason ?? null,
    nodeAssignments: {},
  };
}

/**
 * TextInferenceResult (PROTOCOL.md 5.6).
 * @param revealed whether commitments may be shown. A task_id is known to the nodes, so that what is asked by task_id is shown
 *   only after the last verdict; a request_id is known to the requester alone.
 */
export function requestView(job: Job, revealed: boolean): Record<string, unknown> {
  const { result } = job;
  const decided = job.status === "accepted" || job.status === "rejected";
  const shown = decided && result && (revealed || job.closedAt !== undefined) ? result : undefined;
  return {
    job_id: job.requestId,
    status: statusWord(job),
    output_cid: decided ? (result?.outputCid ?? null) : null,
    commitment_hash: shown?.commitment ?? null,
    encrypted_output_key_high: decided ? (result?.keyHigh.toString() ?? null) : null,
    encrypted_output_key_low: decided ? (result?.keyLow.toString() ?? null) : null,
    quorum: {
      leader_address: job.leader.address,
      verifier_addresses: job.verifiers.map(({ address }) => address),
      confirmations: countVotes(job)?.confirmations ?? 0,
      confidence: confidence(job),
    },
    dispute_deadline: null,
    leader_submission: shown
      ? {
          leader_address: job.leader.address,
          risk_score: null,
          confidence: shown.confidence ?? 100,
          summary: shown.outputCid,
          provider: null,
          model: job.modelId,
          result_hash: shown.commitment,
          submitted_at: iso(shown.at),
        }
      : null,
    verifier_verdicts: shown ? job.verifiers.flatMap((seat) => verdictView(seat, shown.commitment)) : [],
    reject_reason: job.reason ?? null,
  };
}

/** JobRecord (PROTOCOL.md 8), with what was really paid. `rewards` in BLIND, `rewards_wei` exact. */
export function paymentJobView(job: Job, revealed: boolean): Record<string, unknown> {
  const { payment, result } = job;
  if (!payment) return {};
  const accepted = job.status === "accepted" ? result : undefined;
  const paid = Object.entries(paidRewards(job));
  return {
    job_id: payment.jobId,
    task_id: job.taskId,
    user_address: job.developer.toLowerCase(),
    model_id: job.modelId,
    amount_cusdc: payment.amountCusdc.toString(),
    amount_blind: payment.amountBlind.toString(),
    insurance_opt_in: false,
    payment_mode: "credits",
    payment_currency: payment.currency,
    escrow_id: null,
    coverage_id: null,
    status: paymentStatus(job),
    leader_address: job.leader.address,
    verifier_addresses: job.verifiers.map(({ address }) => address),
    error_reason: job.reason ?? null,
    result_hash: accepted && (revealed || job.closedAt !== undefined) ? accepted.commitment : null,
    output_cid: accepted?.outputCid ?? null,
    encrypted_output_key_high: accepted?.keyHigh.toString() ?? null,
    encrypted_output_key_low: accepted?.keyLow.toString() ?? null,
    rewards_distributed: job.settled && paid.length > 0,
    reward_tx_hashes: job.actions.flatMap(({ kind, tx }) => (kind === "reward" && tx ? [tx] : [])),
    rewards: Object.fromEntries(paid.map(([address, wei]) => [address, blindNumber(wei)])),
    rewards_wei: Object.fromEntries(paid.map(([address, wei]) => [address, wei.toString()])),
    claim_result: null,
    created_at: iso(job.createdAt),
    updated_at: iso(job.updatedAt),
  };
}

/** Status words of the payment service (PROTOCOL.md 8). */
export function paymentStatus(job: Job): "RUNNING" | "COMPLETED" | "FAILED" | "REFUNDED" {
  if (job.status === "accepted") return "COMPLETED";
  if (job.status === "rejected") return "REFUNDED";
  return job.status === "failed" ? "FAILED" : "RUNNING";
}

/** PROTOCOL.md 8; cUSDC in units of 10^-6 and BLIND in wei, as decimal strings. */
export function balanceView(address: Address, account: Account): Record<string, unknown> {
  return {
    user_address: address.toLowerCase(),
    balance_cusdc: account.cusdc.toString(),
    balance_blind: account.blind.toString(),
    total_deposited_cusdc: account.depositedCusdc.toString(),
    total_deposited_blind: account.depositedBlind.toString(),
    total_spent_cusdc: account.spentCusdc.toString(),
    total_spent_blind: account.spentBlind.toString(),
  };
}

export function packageViews(): Record<string, unknown>[] {
  return packages.map((item) => ({
    id: item.id,
    name: item.name,
    base_calls: item.baseCalls,
    bonus_percent: item.bonusPercent,
    total_calls: item.totalCalls,
    price_blind: blindNumber(item.price),
    price_blind_wei: item.price,
  }));
}

/** PROTOCOL.md 6. */
export function nodeView(node: NodeRecord, active: boolean): Record<string, unknown> {
  return {
    operator_address: node.address,
    model_tiers: [node.tier],
    supported_model_ids: node.models,
    location: "unknown",
    zdr_compliant: false,
    jurisdiction: "global",
    min_stake: 0,
    active,
    metrics: {
      tasks_completed: node.tasksCompleted,
      tasks_accepted: node.tasksAccepted,
      tasks_rejected: node.tasksRejected,
      reputation_score: reputation(node),
      total_slash_amount: 0,
      last_heartbeat: node.lastHeartbeat,
    },
  };
}

/** One job as the demo and tests look at it. */
export type JobSnapshot = {
  taskId: string;
  requestId: string;
  developer: Address;
  modelId: string;
  status: ReturnType<typeof statusWord>;
  reason: string | undefined;
  outputCid: string | undefined;
  /** The leader's commitment. */
  commitment: string | undefined;
  nodes: {
    address: Address;
    role: Role;
    state: Seat["state"];
    commitment: string | undefined;
    verdict: VerdictWord | undefined;
    /** Whether the node's own answer equals the leader's. */
    agreed: boolean;
  }[];
  replaced: Address[];
  /** What was really paid, in wei of BLIND. */
  rewards: Record<Address, bigint>;
  /** Whether everything owed for this job was sent. */
  settled: boolean;
};

export function jobSnapshot(job: Job): JobSnapshot {
  const { result } = job;
  const verifiers = job.verifiers.map(({ address, role, state, verdict }) => ({
    address,
    role,
    state,
    commitment: verdict?.commitment,
    verdict: verdict?.verdict,
    agreed: !!verdict && !!result && confirms(verdict, result.commitment),
  }));
  const { address, role, state } = job.leader;
  const leader = { address, role, state, commitment: result?.commitment, verdict: undefined, agreed: !!result };
  return {
    taskId: job.taskId,
    requestId: job.requestId,
    developer: job.developer,
    modelId: job.modelId,
    status: statusWord(job),
    reason: job.reason,
    outputCid: result?.outputCid,
    commitment: result?.commitment,
    nodes: [leader, ...verifiers],
    replaced: job.replaced.map((seat) => seat.address),
    rewards: paidRewards(job),
    settled: job.settled,
  };
}

const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON;

/** Wei as a JSON number of BLIND: a number, as the network's clients expect, yet with every digit. */
export function blindNumber(wei: bigint): unknown {
  return rawJson(formatUnits(wei, 18));
}

/** Unix seconds as ISO-8601 UTC. */
export function iso(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}

function verdictView({ address, verdict }: Seat, leaderCommitment: string): Record<string, unknown>[] {
  if (!verdict) return [];
  return [
    {
      verifier_address: address,
      accepted: confirms(verdict, leaderCommitment),
      verdict: verdict.verdict,
      confidence: verdict.confidence,
      result_hash: verdict.commitment,
      submitted_at: iso(verdict.at),
    },
  ];
}

/** Integer mean over the leader, if it sent one, and those who confirmed it (PROTOCOL.md 12). */
function confidence(job: Job): number {
  const { result } = job;
  if (!result) return 0;
  const values = job.verifiers.flatMap(({ verdict }) =>
    verdict && confirms(verdict, result.commitment) ? [verdict.confidence] : [],
  );
  if (result.confidence !== undefined) values.push(result.confidence);
  return values.length === 0 ? 0 : Math.floor(values.reduce((sum, value) => sum + value, 0) / values.length);
}
