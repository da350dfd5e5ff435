import type { Address } from "viem";
import { blindAbi } from "../chain/abi/blind.ts";
import { contractCall } from "../chain/contract-call.ts";
import type { Sender } from "../chain/sender.ts";
import type { RequesterClient } from "../icl/requester.ts";
import { BlfError, isRetryable } from "../lib/errors.ts";

export type DepositParameters = {
  client: RequesterClient;
  sender: Sender;
  blind: Address;
  treasury: Address;
  /** Wei of BLIND. */
  amount: bigint;
  /** Makes the purpose of the transaction unique: the same deposit, begun again with the same id, does not pay again. */
  id: string;
  signal: AbortSignal;
};

/**
 * Buys credits: sends BLIND to the treasury and shows the transaction to the payment service (PROTOCOL.md 8).
 * @throws BlfError `CHAIN_*`, `PAYMENT_*`, `DEPOSIT_NOT_CREDITED`
 */
export async function deposit(parameters: DepositParameters): Promise<void> {
  const { client, sender, blind, treasury, amount, id, signal } = parameters;
  const call = contractCall({ address: blind, abi: blindAbi, functionName: "transfer", args: [treasury, amount] });
  const receipt = await sender.send({ purpose: `deposit:${id}`, action: "deposit BLIND for credits", call }, signal);
  await client.deposit(receipt.transactionHash, signal).catch((error: unknown) => {
    throw error instanceof BlfError && !isRetryable(error) && !signal.aborted
      ? notCredited(receipt.transactionHash, error)
      : error;
  });
}

/** The BLIND is gone by now, so that no refusal is final: whoever begins anew pays a second time. */
function notCredited(hash: string, cause: BlfError): BlfError {
  return new BlfError({
    code: "DEPOSIT_NOT_CREDITED",
    message: `The BLIND was sent (${hash}), but not credited: ${cause.message}`,
    hint: "Run the same command again: it shows this transaction again and sends no other one.",
    retryable: true,
    cause,
  });
}
