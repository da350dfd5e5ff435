import { errorCode } from "../lib/errors.ts";
import type { NodeContext } from "./context.ts";
import { millisecondsFact } from "./journal/facts.ts";
import type { Journal } from "./journal/journal.ts";

/** Times are milliseconds since the epoch by the coordinator's clock, whose `last_heartbeat` they are compared with. */
const fact = "own-activity-until";

/**
 * So long after it was sent a request may still reach the coordinator, in milliseconds: both attempts of one that nobody answers, and what a
 * proxy holds back.
 */
const underWayMs = 90_000;

/** What the coordinator's clock shows, as far as this node knows. */
export function coordinatorTime({ clock, icl }: Pick<NodeContext, "clock" | "icl">): number {
  return clock.now() - (icl.clockOffset() ?? 0);
}

/**
 * Writes down that this installation is about to be seen by the coordinator. Done before each heartbeat and attestation, so that a node that was
 * killed at any moment and starts again does not take its own traces for those of another.
 * @param until when the coordinator may take it for activity of this moment, by its own clock
 */
export function noteOwnActivity(journal: Pick<Journal, "setFact">, until: number): void {
  journal.setFact(fact, String(Math.round(until)));
}

/** Until when what the coordinator has seen may have been this installation; 0 when it was never active. */
export function ownActivityUntil(journal: Pick<Journal, "fact">): number {
  return millisecondsFact(journal, fact);
}

/** The same from the running node. A disk that is full keeps no heartbeat back; at worst the next start waits for a while. */
export function announce(ctx: Pick<NodeContext, "journal" | "clock" | "icl" | "log">): void {
  try {
    noteOwnActivity(ctx.journal, coordinatorTime(ctx) + underWayMs);
  } catch (error) {
    ctx.log.debug("it could not be written down that the node is active", { code: errorCode(error) });
  }
}
