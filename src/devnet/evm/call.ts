import { bytesToHex, createAddressFromString, hexToBytes } from "@ethereumjs/util";
import { type Hex, zeroAddress } from "viem";
import type { CallRequest } from "./params.ts";
import { refused, reverted } from "./rpc-error.ts";
import type { View } from "./view.ts";

/** More gas than this is not given to one call, so that an endless loop ends. */
const callGasCap = 30_000_000n;

/**
 * Runs a call and forgets what it changed.
 * @returns what the contract returned
 * @throws RpcError 3 when it reverts, -32000 when it fails otherwise
 */
export async function call({ vm, block }: View, request: CallRequest): Promise<Hex> {
  const caller = createAddressFromString(request.from ?? zeroAddress);
  const value = request.value ?? 0n;
  const balance = (await vm.stateManager.getAccount(caller))?.balance ?? 0n;
  if (value > balance) throw refused(`insufficient funds for transfer: address ${caller}`);
  const gas = request.gas ?? callGasCap;

  await vm.stateManager.checkpoint();
  try {
    const { execResult } = await vm.evm.runCall({
      block,
      caller,
      origin: caller,
      ...(request.to && { to: createAddressFromString(request.to) }),
      data: hexToBytes(request.data),
      value,
      gasPrice: 0n,
      gasLimit: gas < callGasCap ? gas : callGasCap,
    });
    const returned = bytesToHex(execResult.returnValue);
    if (execResult.exceptionError) throw failure(execResult.exceptionError.error, returned);
    return returned;
  } finally {
    await vm.stateManager.revert();
    vm.evm.journal.cleanJournal();
  }
}

/** How an execution that failed is told to the client. */
export function failure(reason: string, returned: Hex): Error {
  return reason === "revert" ? reverted(returned) : refused(reason);
}
