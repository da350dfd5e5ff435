import {
  type Address,
  getAddress,
  type Hash,
  type Log,
  parseEventLogs,
  type TransactionReceipt,
  TransactionReceiptNotFoundError,
} from "viem";
import { blindAbi } from "../../chain/abi/blind.ts";
import { nodeRegistryAbi } from "../../chain/abi/node-registry.ts";
import { promptKeyStoreAbi } from "../../chain/abi/prompt-key-store.ts";
import { stakingAbi } from "../../chain/abi/staking.ts";
import type { Chain } from "../../chain/clients.ts";
import { type ContractCall, contractCall } from "../../chain/contract-call.ts";
import { chainError } from "../../chain/errors.ts";
import type { Sender } from "../../chain/sender.ts";
import type { CoordinatorChain } from "./coordinator-chain.ts";

export type CoordinatorContracts = {
  blind: Address;
  staking: Address;
  nodeRegistry: Address;
  promptKeyStore: Address;
};

export type CoordinatorChainOptions = {
  chain: Chain;
  /** The only sender of the coordinator's account, which is the treasury, a slasher of the staking and the key store's ICL. */
  sender: Sender;
  account: Address;
  contracts: CoordinatorContracts;
};

/**
 * The coordinator's view of a real chain.
 * @throws BlfError `CHAIN_*` from every method of the result
 */
export function createCoordinatorChain(options: CoordinatorChainOptions): CoordinatorChain {
  const { sender, contracts } = options;
  const { client } = options.chain;
  const read = async <T>(action: string, request: Promise<T>): Promise<T> => {
    try {
      return await request;
    } catch (error) {
      throw chainError(error, action);
    }
  };
  const write = async (purpose: string, action: string, call: ContractCall): Promise<Hash> =>
    (await sender.send({ purpose, action, call })).transactionHash;
  const staking = (functionName: "recordFailure" | "resetFailures", node: Address) =>
    contractCall({ address: contracts.staking, abi: stakingAbi, functionName, args: [node] });

  /** The receipt of a transaction that succeeded, or undefined. */
  const findReceipt = async (hash: Hash): Promise<TransactionReceipt | undefined> => {
    try {
      const receipt = await client.getTransactionReceipt({ hash });
      return receipt.status === "success" ? receipt : undefined;
    } catch (error) {
      if (error instanceof TransactionReceiptNotFoundError) return undefined;
      throw chainError(error, "read a receipt");
    }
  };

  return {
    treasury: getAddress(options.account),
    isConnected: () =>
      client.getBlockNumber().then(
        () => true,
        () => false,
      ),
    getStake: async (node) => {
      const info = await read(
        "read a stake",
        client.readContract({
          address: contracts.staking,
          abi: stakingAbi,
          functionName: "getStakeInfo",
          args: [node],
        }),
      );
      return { staked: info.staked, consecutiveFailures: Number(info.consecutiveFailures), active: info.active };
    },
    isRegistered: (node) =>
      read(
        "read a registration",
        client.readContract({
          address: contracts.nodeRegistry,
          abi: nodeRegistryAbi,
          functionName: "isActive",
          args: [node],
        }),
      ),
    getStoredKeys: async (tx) => {
      const logs = logsOf(await findReceipt(tx), contracts.promptKeyStore);
      return parseEventLogs({ abi: promptKeyStoreAbi, logs, eventName: "KeyStored" }).map(({ args }) => ({
        jobId: args.jobId,
        submitter: args.submitter,
        high: args.highHandle,
        low: args.lowHandle,
        allowedNodes: [...args.allowedNodes],
      }));
    },
    getKeySubmitter: async (jobId) => {
      const logs = await read(
        "look for a stored key",
        client.getContractEvents({
          address: contracts.promptKeyStore,
          abi: promptKeyStoreAbi,
          eventName: "KeyStored",
          args: { jobId },
          fromBlock: 0n,
          strict: true,
        }),
      );
      return logs[0]?.args.submitter;
    },
    getTransfers: async (tx) => {
      const logs = logsOf(await findReceipt(tx), contracts.blind);
      return parseEventLogs({ abi: blindAbi, logs, eventName: "Transfer" }).map(({ args }) => ({
        from: args.from,
        to: args.to,
        value: args.value,
      }));
    },
    payReward: ({ purpose, to, amount }) =>
      write(
        purpose,
        "pay a reward",
        contractCall({ address: contracts.blind, abi: blindAbi, functionName: "transfer", args: [to, amount] }),
      ),
    recordFailure: ({ purpose, node }) => write(purpose, "record a failure", staking("recordFailure", node)),
    resetFailures: ({ purpose, node }) => write(purpose, "reset the failures", staking("resetFailures", node)),
    grantDecryptAccess: ({ purpose, jobId, node }) =>
      write(
        purpose,
        "let a node decrypt the prompt key",
        contractCall({
          address: contracts.promptKeyStore,
          abi: promptKeyStoreAbi,
          functionName: "grantDecryptAccess",
          args: [jobId, node],
        }),
      ),
  };
}

/** Logs of one contract in a receipt; events of other contracts with the same name do not count. */
function logsOf(receipt: TransactionReceipt | undefined, address: Address): Log[] {
  return (receipt?.logs ?? []).filter((log) => log.address.toLowerCase() === address.toLowerCase());
}
