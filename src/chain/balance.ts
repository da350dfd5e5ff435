import type { Address } from "viem";
import { blindAbi } from "./abi/blind.ts";
import { nodeRegistryAbi } from "./abi/node-registry.ts";
import type { Chain } from "./clients.ts";
import { chainError } from "./errors.ts";

/** On-chain heartbeats in 30 days: one every ten (PROTOCOL.md 10). */
export const heartbeatsPerMonth = 3;

/** Gas of a heartbeat where it cannot be estimated, as for a node that is not registered yet. */
const assumedHeartbeatGas = 60_000n;

/** All amounts in wei. */
export type Balance = {
  blind: bigint;
  ether: bigint;
  gasPrice: bigint;
  /** Gas of one on-chain heartbeat. */
  heartbeatGas: bigint;
  /** Whether the chain estimated that; otherwise it is assumed. */
  isEstimated: boolean;
  /** What the heartbeats of a month cost at this price. */
  monthCost: bigint;
};

export type BalanceParameters = {
  chain: Chain;
  blind: Address;
  /** NodeRegistry; without it the gas of a heartbeat is assumed. */
  registry: Address | undefined;
  account: Address;
};

/** What a wallet holds, and what it needs for a month of heartbeats, in one round trip. @throws BlfError `CHAIN_*` */
export async function readBalance({ chain, blind, registry, account }: BalanceParameters): Promise<Balance> {
  const { client } = chain;
  const heartbeat = { address: registry!, abi: nodeRegistryAbi, functionName: "heartbeat", account } as const;
  // A node that is not registered, or has no gas at all, cannot be estimated for.
  const estimate = registry ? client.estimateContractGas(heartbeat).catch(() => undefined) : undefined;
  try {
    const [tokens, ether, gasPrice, estimated] = await Promise.all([
      client.readContract({ address: blind, abi: blindAbi, functionName: "balanceOf", args: [account] }),
      client.getBalance({ address: account }),
      client.getGasPrice(),
      estimate,
    ]);
    const heartbeatGas = estimated ?? assumedHeartbeatGas;
    return {
      blind: tokens,
      ether,
      gasPrice,
      heartbeatGas,
      isEstimated: estimated !== undefined,
      monthCost: BigInt(heartbeatsPerMonth) * heartbeatGas * gasPrice,
    };
  } catch (error) {
    throw chainError(error, "read the balance");
  }
}
