import type { Address, Hex } from "viem";
import type { EncryptedInput, EncryptedKey } from "../cofhe/cofhe.ts";
import { promptKeyStoreAbi } from "./abi/prompt-key-store.ts";
import type { Chain } from "./clients.ts";
import { contractCall } from "./contract-call.ts";
import { chainError } from "./errors.ts";
import type { Sender } from "./sender.ts";

export type StoreKeyParameters = {
  store: Address;
  /** bytes32: the task_id for a prompt key, `outputKeyJobId(task_id)` for an output key (PROTOCOL.md 2.4). */
  jobId: Hex;
  key: EncryptedKey;
  /** Who may decrypt. */
  allowed: Address[];
};

/** `PromptKeyStore.storeKey`, once per job and kind of key. @returns the hash of the transaction */
export async function storeKey(sender: Sender, parameters: StoreKeyParameters, signal?: AbortSignal): Promise<Hex> {
  const { store, jobId, key, allowed } = parameters;
  const call = contractCall({
    address: store,
    abi: promptKeyStoreAbi,
    functionName: "storeKey",
    args: [jobId, toTuple(key.high), toTuple(key.low), allowed],
  });
  const receipt = await sender.send({ purpose: `store-key:${jobId}`, action: "store the encrypted key", call }, signal);
  return receipt.transactionHash;
}

/** The handles of a stored key; both are 0 when there is none. */
export async function readKeyHandles(chain: Chain, store: Address, jobId: Hex): Promise<{ high: bigint; low: bigint }> {
  const [high, low] = await chain.client
    .readContract({ address: store, abi: promptKeyStoreAbi, functionName: "getEncryptedKey", args: [jobId] })
    .catch((error: unknown) => {
      throw chainError(error, "read the key's handles");
    });
  return { high, low };
}

function toTuple(input: EncryptedInput) {
  return {
    ctHash: input.ctHash,
    securityZone: input.securityZone,
    utype: input.utype,
    signature: input.signature,
  };
}
