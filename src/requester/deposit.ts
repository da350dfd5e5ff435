import type { Address } from "viem";
import { blindAbi } from "../chain/abi/blind.ts";
import { contractCall } from "../chain/contract-call.ts";
import type { Sender } from "../chain/sender.ts";
import type { RequesterClient } from "../icl/requester.ts";

export type DepositParameters = {
  client: RequesterClient;
  sender: Sender;
  blind: Address;
  treasury: Address;
  /** Wei of BLIND. */
  amount: bigint;
  /** Makes the purpose of the transaction unique. */
  id: string;
  signal: AbortSignal;
};

/** Buys credits: sends BLIND to the treasury and shows the transaction to the payment service (PROTOCOL.md 8). */
export async function deposit(parameters: DepositParameters): Promise<void> {
  const { client, sender, blind, treasury, amount, id, signal } = parameters;
  const call = contractCall({ address: blind, abi: blindAbi, functionName: "transfer", args: [treasury, amount] });
  const receipt = await sender.send({ purpose: `deposit:${id}`, action: "deposit BLIND for credits", call }, signal);
  await client.deposit(receipt.transactionHash, signal);
}
