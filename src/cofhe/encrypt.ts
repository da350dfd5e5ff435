import type { EncryptedItemInput } from "@cofhe/sdk";
import type { Hex } from "viem";
import type { KeyHalves } from "../crypto/key-halves.ts";
import { type EncryptedInput, type EncryptedKey, uint128Type } from "./cofhe.ts";
import { cofheError } from "./errors.ts";
import { fromSdk } from "./sdk-errors.ts";
import type { Session } from "./session.ts";

export type EncryptParameters = { session: Session; keys: KeyHalves[]; signal: AbortSignal };

/**
 * Encrypts the halves of all keys with one proof (PROTOCOL.md 2.3).
 * @throws BlfError `COFHE_KEYS_UNAVAILABLE`, `COFHE_VERIFIER_FAILED`, `COFHE_PROVER_FAILED`, `COFHE_RPC_UNREACHABLE`, `COFHE_NOT_DEPLOYED`
 */
export async function encryptHalves({ session, keys, signal }: EncryptParameters): Promise<EncryptedKey[]> {
  const { sdk, client } = session;
  const values = keys.flatMap(({ high, low }) => [sdk.Encryptable.uint128(high), sdk.Encryptable.uint128(low)]);
  try {
    const encrypted = await client
      .encryptInputs(values)
      .onStep((step, context) => {
        // The SDK cannot be aborted, but what is thrown between its steps ends it.
        signal.throwIfAborted();
        const proved = step === sdk.EncryptStep.Prove && context?.isEnd === true && context["isMocks"] !== true;
        if (proved && context["usedWorker"] !== true) throw cofheError("COFHE_PROVER_FAILED");
      })
      .execute();
    if (encrypted.length !== values.length) throw cofheError("COFHE_VERIFIER_FAILED");
    const inputs = encrypted.map(toInput);
    return keys.map((_, index) => ({ high: inputs[2 * index]!, low: inputs[2 * index + 1]! }));
  } catch (error) {
    signal.throwIfAborted();
    throw fromSdk(error, "COFHE_VERIFIER_FAILED");
  }
}

/** The verifier's answer is checked, since the SDK passes on whatever came. */
function toInput({ ctHash, securityZone, signature }: EncryptedItemInput): EncryptedInput {
  const hex = signature.startsWith("0x") ? signature : `0x${signature}`;
  if (!/^0x[0-9a-f]{130}$/i.test(hex) || ctHash <= 0n || ctHash >> 256n !== 0n)
    throw cofheError("COFHE_VERIFIER_FAILED");
  return { ctHash, securityZone, utype: uint128Type, signature: hex as Hex };
}
