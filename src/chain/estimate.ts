import type { Address } from "viem";
import type { Chain } from "./clients.ts";
import type { ContractCall } from "./contract-call.ts";
import { chainError } from "./errors.ts";
import { chooseFees } from "./fees.ts";

export type CostEstimate = {
  gas: bigint;
  /** Wei of ETH, at the fee that the chain asks for now. */
  likely: bigint;
  /** Wei of ETH, at the highest fee that the transaction would offer. */
  atMost: bigint;
};

/**
 * What a call would cost, after simulating it.
 * @param cap highest fee per gas, in wei
 * @throws BlfError `CHAIN_*`
 */
export async function estimateCost(
  chain: Chain,
  account: Address,
  call: ContractCall,
  cap: bigint,
): Promise<CostEstimate> {
  const { client } = chain;
  try {
    const [gas, block, tip] = await Promise.all([
      client.estimateContractGas({ ...call, account }),
      client.getBlock({ blockTag: "latest" }),
      client.estimateMaxPriorityFeePerGas(),
    ]);
    const base = block.baseFeePerGas ?? 0n;
    return { gas, likely: gas * (base + tip), atMost: gas * chooseFees(base, tip, cap).maxFeePerGas };
  } catch (error) {
    throw chainError(error, "estimate the cost");
  }
}
