import type { Permit } from "@cofhe/sdk/permits";
import type { KeyHalves } from "../crypto/key-halves.ts";
import type { KeyHandles } from "./cofhe.ts";
import { cofheError } from "./errors.ts";
import { fromSdk } from "./sdk-errors.ts";
import type { Session } from "./session.ts";

export type DecryptParameters = { session: Session; permit: Permit; handles: KeyHandles; signal: AbortSignal };

/**
 * Asks for both halves side by side, once (PROTOCOL.md 2.5).
 * @throws BlfError `COFHE_NOT_ALLOWED`, `COFHE_HANDLE_UNKNOWN`, `COFHE_UNAVAILABLE`, `COFHE_ANSWER_INVALID`, `COFHE_RPC_UNREACHABLE`, `COFHE_NOT_DEPLOYED`
 */
export async function decryptHalves(parameters: DecryptParameters): Promise<KeyHalves> {
  const { high, low } = parameters.handles;
  const halves = await Promise.all([decryptHalf(high, parameters), decryptHalf(low, parameters)]);
  if (!halves.every(isHalf)) throw cofheError("COFHE_ANSWER_INVALID");
  return { high: halves[0], low: halves[1] };
}

async function decryptHalf(handle: bigint, { session, permit, signal }: DecryptParameters): Promise<bigint> {
  try {
    return await session.client
      .decryptForView(handle, session.sdk.FheTypes.Uint128)
      .withPermit(permit)
      // The SDK cannot be aborted, but it asks here before each poll, and what is thrown ends it.
      .onPoll(() => signal.throwIfAborted())
      .execute();
  } catch (error) {
    signal.throwIfAborted();
    // What has no code and is not of the RPC is a sealed value that does not open.
    throw fromSdk(error, "COFHE_ANSWER_INVALID");
  }
}

/** Whether a value is an unsigned 128-bit integer. */
export function isHalf(value: bigint): boolean {
  return value >= 0n && value >> 128n === 0n;
}
