import type { Permit } from "@cofhe/sdk/permits";
import { type Clock, unixSeconds } from "../lib/clock.ts";
import { cofheError } from "./errors.ts";
import { fromSdk } from "./sdk-errors.ts";
import type { Session } from "./session.ts";

const lifetime = 7 * 24 * 3600;
const renewBefore = 3600;

/** The wallet's self permit (PROTOCOL.md 2.5), in memory only. */
export type Permits = {
  /**
   * A permit that is good for at least an hour, made when there is none. Callers at the same time share one.
   * @throws BlfError `COFHE_PERMIT_FAILED`, `COFHE_RPC_UNREACHABLE`, `COFHE_NOT_DEPLOYED`, `COFHE_WRONG_CHAIN`
   */
  get(session: Session): Promise<Permit>;
  /** Makes the next `get` sign a new permit. */
  forget(): void;
};

/** Keeps permits itself: the SDK's store is global, may be persistent, and hands out expired permits. */
export function createPermits(options: { chainId: number; clock: Clock }): Permits {
  let current: { permit: Promise<Permit>; expiration: number } | undefined;
  return {
    get: (session) => {
      const now = unixSeconds(options.clock);
      if (current && current.expiration - now >= renewBefore) return current.permit;
      const expiration = now + lifetime;
      const mine = { permit: createPermit(session, expiration, options.chainId), expiration };
      current = mine;
      mine.permit.catch(() => {
        if (current === mine) current = undefined;
      });
      return mine.permit;
    },
    forget: () => {
      current = undefined;
    },
  };
}

async function createPermit(session: Session, expiration: number, chainId: number): Promise<Permit> {
  const { PermitUtils } = await import("@cofhe/sdk/permits");
  const { publicClient, walletClient } = session;
  try {
    const issuer = walletClient.account!.address;
    const permit = await PermitUtils.createSelfAndSign({ issuer, expiration }, publicClient, walletClient);
    // The domain comes from the RPC, and its chain decides whom the SDK sends the permit to.
    if (permit._signedDomain?.chainId !== chainId) throw cofheError("COFHE_WRONG_CHAIN");
    return permit;
  } catch (error) {
    throw fromSdk(error, "COFHE_PERMIT_FAILED");
  }
}
