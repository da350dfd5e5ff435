import { type Address, encodeFunctionData, type LocalAccount } from "viem";
import { blindAbi } from "../../chain/abi/blind.ts";
import { createSender } from "./send.ts";

export type FundParameters = {
  rpcUrl: string;
  /** The account that gives; one process only may use it. */
  funder: LocalAccount;
  /** The token's address. */
  blind: Address;
  recipients: readonly Address[];
  /** For each recipient, in wei. */
  etherAmount: bigint;
  blindAmount: bigint;
};

/**
 * Gives each recipient ether for gas and BLIND for a stake.
 * @throws BlfError `DEVNET_DEPLOY_FAILED`
 */
export async function fundAccounts(parameters: FundParameters): Promise<void> {
  const { rpcUrl, funder, blind, recipients, etherAmount, blindAmount } = parameters;
  const sender = await createSender({ rpcUrl, account: funder });
  for (const recipient of recipients) {
    if (etherAmount > 0n) await sender.send({ to: recipient, value: etherAmount });
    if (blindAmount === 0n) continue;
    const args = [recipient, blindAmount] as const;
    await sender.send({ to: blind, data: encodeFunctionData({ abi: blindAbi, functionName: "transfer", args }) });
  }
  await sender.settle();
}
