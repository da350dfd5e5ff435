import type { Address, Hash, Hex } from "viem";

export type StakeInfo = {
  /** Wei of BLIND. */
  staked: bigint;
  consecutiveFailures: number;
  active: boolean;
};

/** A `KeyStored` event of a successful transaction (PROTOCOL.md 2.4). */
export type StoredKey = { jobId: Hex; submitter: Address; high: bigint; low: bigint; allowedNodes: Address[] };

/** A `Transfer` of BLIND in a successful transaction; `value` in wei. */
export type BlindTransfer = { from: Address; to: Address; value: bigint };

/**
 * What the coordinator needs of the chain. Every write names its purpose; the same purpose is carried out once, however
 * often it is asked for, so that a write whose receipt got lost can be asked for again.
 * @throws BlfError of every method; `retryable` when the same call may succeed later
 */
export type CoordinatorChain = {
  /** Where requesters pay to and rewards come from. */
  treasury: Address;
  isConnected(): Promise<boolean>;
  getStake(node: Address): Promise<StakeInfo>;
  /** Whether the node is in the NodeRegistry and its on-chain heartbeat is fresh. */
  isRegistered(node: Address): Promise<boolean>;
  /** Keys that a transaction stored in the PromptKeyStore; empty when it is unknown, failed or did something else. */
  getStoredKeys(tx: Hash): Promise<StoredKey[]>;
  /** Who stored the key of this id, or undefined when there is none yet. */
  getKeySubmitter(jobId: Hex): Promise<Address | undefined>;
  /** Transfers of BLIND in a transaction; empty likewise. */
  getTransfers(tx: Hash): Promise<BlindTransfer[]>;
  payReward(parameters: { purpose: string; to: Address; amount: bigint }): Promise<Hash>;
  recordFailure(parameters: { purpose: string; node: Address }): Promise<Hash>;
  resetFailures(parameters: { purpose: string; node: Address }): Promise<Hash>;
  grantDecryptAccess(parameters: { purpose: string; jobId: Hex; node: Address }): Promise<Hash>;
};
