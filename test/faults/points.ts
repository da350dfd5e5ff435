import { outputKeyJobId } from "../../src/crypto/commitment.ts";
import type { Role } from "../../src/icl/wire.ts";
import type { Moment } from "../../src/lib/faults.ts";

/** Where a node is killed: just before or just after something is done. At `random` the seed says how long after its claim. */
export type Point = { role: Role; act: string; moment: Moment | "at" };

/** In the order in which a job passes them. `broadcast` is the sending of the signed transaction, everything else a failpoint of the test build. */
const acts: Record<Role, readonly string[]> = {
  leader: [
    "assigned",
    "claim",
    "claimed",
    "sealedOutputKey",
    "transaction-pending",
    "broadcast",
    "transaction-succeeded",
    "outputKeyTx",
    "generated",
    "uploaded",
    "key-stored",
    "commitment",
    "committed",
    "submit",
    "submitted",
  ],
  verifier: ["assigned", "claim", "claimed", "generated", "commitment", "committed", "submit", "submitted"],
};

export function pointsOf(role: Role): Point[] {
  const moments = acts[role].flatMap((act) => (["before", "after"] as const).map((moment) => ({ role, act, moment })));
  return [...moments, { role, act: "random", moment: "at" }];
}

export function nameOf({ act, moment }: Point): string {
  return `${moment} ${act}`;
}

/** The value of `BLF_FAULT` that kills a node there, or undefined when that is done from outside. */
export function faultOf({ role, act, moment }: Point, taskId: string): string | undefined {
  if (act === "random" || act === "broadcast") return undefined;
  const subject = act.startsWith("transaction-") ? `store-key:${outputKeyJobId(taskId)}` : `${role}:${taskId}`;
  return `kill:${moment}:${act}:${subject}`;
}
