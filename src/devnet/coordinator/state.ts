import type { Address, Hash, Hex } from "viem";
import { toBytes32 } from "../../crypto/commitment.ts";

/** A node that attested. Times in Unix seconds. */
export type NodeRecord = {
  address: Address;
  tier: number;
  /** Exact model ids that the node offers. */
  models: string[];
  attestedUntil: number;
  lastHeartbeat: number;
  tasksCompleted: number;
  tasksAccepted: number;
  tasksRejected: number;
};

/** One challenge per address, used once (PROTOCOL.md 4.1). */
export type Challenge = { id: string; nonce: Uint8Array; expiresAt: number };

export type Role = "leader" | "verifier";
export type VerdictWord = "CONFIRM" | "REJECT";

export type Verdict = {
  commitment: string;
  verdict: VerdictWord;
  confidence: number;
  /** Unix seconds. */
  at: number;
  /** Given again, unchanged, to an identical second submission. */
  answer: Record<string, unknown>;
};

export type LeaderResult = {
  outputCid: string;
  commitment: string;
  /** Handles of the output key as they are on chain. */
  keyHigh: bigint;
  keyLow: bigint;
  confidence: number | undefined;
  at: number;
  /** What was sent, to tell an identical second submission from a different one. */
  fingerprint: string;
  answer: Record<string, unknown>;
};

/** A node's place in a quorum. Times in Unix seconds. */
export type Seat = {
  address: Address;
  role: Role;
  /** `silent`: its time is over and it will not be asked again. */
  state: "pending" | "claimed" | "answered" | "silent";
  assignedAt: number;
  /** Set by the first claim and never moved. */
  claimDeadline: number | undefined;
  verdict: Verdict | undefined;
};

/** A transaction that the coordinator owes a node; carried out in order, in the background. */
export type ChainAction = {
  kind: "reward" | "recordFailure" | "resetFailures";
  address: Address;
  /** Wei of BLIND; 0 unless a reward. */
  amount: bigint;
  state: "waiting" | "done" | "refused";
  tx: Hash | undefined;
};

export type Payment = {
  /** uuid4 with dashes, known to the requester only. */
  jobId: string;
  currency: "blind" | "cusdc";
  /** In units of 10^-6. */
  amountCusdc: bigint;
  /** In wei. */
  amountBlind: bigint;
  refunded: boolean;
};

export type JobStatus = "pending_store_key" | "queued" | "accepted" | "rejected" | "failed";

/** A request with its quorum and everything that was said about it. Times in Unix seconds. */
export type Job = {
  /** uuid4 without dashes, known to the requester only. */
  requestId: string;
  /** Exactly as received (PROTOCOL.md 1). */
  taskId: string;
  developer: Address;
  modelId: string;
  promptCid: string;
  minTier: number;
  zdrRequired: boolean;
  status: JobStatus;
  /** Handles of the prompt key, from the transaction that stored it. */
  promptKey: { high: bigint; low: bigint } | undefined;
  leader: Seat;
  verifiers: Seat[];
  /** Seats that were given to another node. */
  replaced: Seat[];
  result: LeaderResult | undefined;
  reason: string | undefined;
  createdAt: number;
  updatedAt: number;
  /** When no more verdicts are taken: everything is in, or every deadline is over. */
  closedAt: number | undefined;
  /** Whether everything owed for this job was sent. */
  settled: boolean;
  actions: ChainAction[];
  payment: Payment | undefined;
  feedback: { rating: "up" | "down"; notes: string | undefined } | undefined;
};

/** A requester's credits: cUSDC in units of 10^-6, BLIND in wei. */
export type Account = {
  cusdc: bigint;
  blind: bigint;
  depositedCusdc: bigint;
  depositedBlind: bigint;
  spentCusdc: bigint;
  spentBlind: bigint;
};

/** Everything that the coordinator remembers. It lives as long as the process. */
export type State = {
  nodes: Map<Address, NodeRecord>;
  challenges: Map<Address, Challenge>;
  /** By request_id. */
  jobs: Map<string, Job>;
  /** By the bytes32 of the task_id: two spellings of one id share one key on chain, so they cannot be two jobs. */
  jobsByKey: Map<Hex, Job>;
  /** Submissions under way, by the same key. */
  submitting: Map<Hex, Promise<Job>>;
  accounts: Map<Address, Account>;
  /** Hashes of transactions that were credited. */
  creditedTransactions: Set<string>;
};

export function createState(): State {
  return {
    nodes: new Map(),
    challenges: new Map(),
    jobs: new Map(),
    jobsByKey: new Map(),
    submitting: new Map(),
    accounts: new Map(),
    creditedTransactions: new Set(),
  };
}

/** All seats of the present quorum, the leader first. */
export function seats(job: Job): Seat[] {
  return [job.leader, ...job.verifiers];
}

/** The bytes32 under which a task's key lies on chain, in lower case. */
export function taskKey(taskId: string): Hex {
  return toBytes32(taskId).toLowerCase() as Hex;
}

/** Finds a job by the exact text of its task_id: with and without `0x` are different ids (PROTOCOL.md 1). */
export function findByTask(state: State, taskId: string): Job | undefined {
  const job = state.jobsByKey.get(taskKey(taskId));
  return job?.taskId === taskId ? job : undefined;
}
