import { readLastHeartbeat } from "../chain/node-registry.ts";
import { deadlineSignal } from "../lib/deadline.ts";
import { BlfError, errorCode, exitCodes } from "../lib/errors.ts";
import { backoff } from "../lib/retry.ts";
import type { NodeContext } from "./context.ts";
import { mayPass } from "./jobs/job.ts";
import { coordinatorTime, ownActivityUntil } from "./own-activity.ts";

type GuardContext = Pick<NodeContext, "config" | "wallet" | "icl" | "chain" | "journal" | "clock" | "log">;

/** Keeps a node from starting while another one works with the same key: two of them would commit to different answers of one job. */
export type Doppelganger = {
  /**
   * Resolves when no other installation has been active with this key for `doppelganger_wait_s`.
   * @throws BlfError `NODE_ACTIVE_ELSEWHERE`; the signal's reason
   */
  assertAlone(signal: AbortSignal): Promise<void>;
  /** Resolves when the coordinator could not be asked at once. */
  unanswered: Promise<void>;
  /** What is being waited for, in words; undefined before and after. */
  waitingFor(): string | undefined;
};

export type DoppelgangerOptions = {
  /** Looks at nothing, for an operator who knows better. */
  ignore?: boolean;
};

/** Between two looks at another node, in milliseconds. */
const lookEveryMs = 10_000;

/** For one answer, in milliseconds. */
const patienceMs = 10_000;

/** A coordinator that answers other things, but not this question, is not waited for any longer, in milliseconds. */
const unansweredMs = 60_000;

/** A node that is sighted so often while this one is silent is no last trace of one that was stopped. */
const sightings = 3;

/**
 * What validators call doppelganger protection. PROTOCOL.md has one thing that shows a node's traces: `last_heartbeat` of the active nodes (6), which
 * heartbeats and attestations move. It shows no claims: assignments that were claimed disappear from their list for whoever asks (4.3), and a
 * job's `nodeAssignments` are always empty (4.7). On chain there is the NodeRegistry's heartbeat, once in ten days.
 *
 * Traces up to 90 s after this installation's own last request count as its own, so a restart never waits; another node that
 * was first heard of within them is noticed only if this one is not the first to go on.
 */
export function createDoppelganger(ctx: GuardContext, options: DoppelgangerOptions = {}): Doppelganger {
  const { config, clock, log, journal } = ctx;
  const quietMs = config.doppelganger_wait_s * 1000;
  const unanswered = Promise.withResolvers<void>();
  let reason: string | undefined;

  const look = async (signal: AbortSignal): Promise<number> => {
    const limit = deadlineSignal(clock, clock.now() + patienceMs, signal);
    try {
      return ((await ctx.icl.lastHeard(limit.signal)) ?? 0) * 1000;
    } finally {
      limit.clear();
    }
  };

  /** The first answer. Nothing is lost meanwhile: whoever cannot be asked this cannot be sent anything either. */
  const firstLook = async (signal: AbortSignal): Promise<number | undefined> => {
    let answersFrom: number | undefined;
    let refusals = 0;
    for (let attempt = 0; ; attempt++) {
      try {
        return await look(signal);
      } catch (error) {
        signal.throwIfAborted();
        const code = errorCode(error);
        if (isAway(code)) {
          reason = "waiting for the coordinator, to see that no other node uses this key";
          unanswered.resolve();
        } else {
          answersFrom ??= clock.now();
          if (!mayPass(error)) refusals++;
        }
        if (refusals >= 3 || (answersFrom !== undefined && clock.now() - answersFrom > unansweredMs)) {
          log.warn("the coordinator does not tell whether another node uses this key; going on without knowing", {
            code,
          });
          return undefined;
        }
        if (attempt === 0) log.warn("the coordinator cannot be asked yet whether another node uses this key", { code });
        await clock.sleep(backoff(attempt, { initialMs: 1000, maxMs: lookEveryMs }), signal);
      }
    }
  };

  const waitUntilQuiet = async (first: number, signal: AbortSignal): Promise<void> => {
    let heard = first;
    let seen = 0;
    /** Sleeps after which it had not moved: a clock that jumps changes nothing about them. */
    let silentMs = 0;
    log.warn("another node was active with this key; waiting until it has been silent", {
      reason: at(first),
      ms: quietMs,
    });
    for (;;) {
      reason = `waiting: another node was ${at(heard)} with this key, and must be silent for ${config.doppelganger_wait_s} s`;
      await clock.sleep(lookEveryMs, signal);
      const now = await look(signal).catch(() => undefined);
      signal.throwIfAborted();
      // Silence that nobody could have heard is none.
      if (now === undefined) continue;
      silentMs += lookEveryMs;
      if (now > heard) {
        heard = now;
        silentMs = 0;
        log.warn("the other node is still active", { reason: at(now), count: ++seen });
        if (seen >= sightings) throw activeElsewhere(ctx.wallet.address);
      }
      if (Math.max(silentMs, coordinatorTime(ctx) - heard) >= quietMs) break;
    }
    log.info("no other node has been active with this key for long enough; going on");
  };

  const assertAlone = async (signal: AbortSignal): Promise<void> => {
    if (options.ignore || quietMs === 0) return;
    const ownUntil = ownActivityUntil(journal);
    const [heard, onChain] = await Promise.all([firstLook(signal), foreignOnChainHeartbeat(ctx, signal)]);
    const last = Math.max(heard ?? 0, onChain);
    if (last <= ownUntil || coordinatorTime(ctx) - last >= quietMs) return;
    await waitUntilQuiet(last, signal);
  };

  return {
    assertAlone: async (signal) => {
      try {
        await assertAlone(signal);
      } finally {
        reason = undefined;
      }
    },
    unanswered: unanswered.promise,
    waitingFor: () => reason,
  };
}

/** When the chain last heard of this node by a transaction that is not in the journal, in milliseconds since the epoch, or 0. */
async function foreignOnChainHeartbeat(ctx: GuardContext, signal: AbortSignal): Promise<number> {
  const { config, journal, clock } = ctx;
  const registry = config.node_registry_address;
  if (!config.registered_on_chain || registry === "") return 0;
  const enough = new AbortController();
  try {
    const patience = clock.sleep(patienceMs / 2, AbortSignal.any([signal, enough.signal])).then(() => 0);
    const last = await Promise.race([readLastHeartbeat(ctx.chain, registry, ctx.wallet.address), patience]);
    const day = Math.floor(last / 86_400_000);
    const purposes = [`register:${registry}`, `heartbeat:${registry}:${day}`, `heartbeat:${registry}:${day - 1}`];
    return purposes.some((purpose) => journal.transactions.find(purpose)) ? 0 : last;
  } catch (error) {
    signal.throwIfAborted();
    ctx.log.debug("the chain does not tell when it last heard of this node", { code: errorCode(error) });
    return 0;
  } finally {
    enough.abort();
  }
}

function isAway(code: string): boolean {
  return code === "ICL_UNREACHABLE" || code === "ICL_TIMEOUT" || code === "DEADLINE_PASSED";
}

function at(time: number): string {
  return `active at ${new Date(time).toISOString()}`;
}

function activeElsewhere(address: string): BlfError {
  return new BlfError({
    code: "NODE_ACTIVE_ELSEWHERE",
    message: `Another node goes on working with the key of ${address}; two would answer one job differently and be slashed`,
    hint: "Stop the other one for good, or give this one a key of its own. --ignore-other-node starts it all the same.",
    exitCode: exitCodes.tryAgain,
  });
}
