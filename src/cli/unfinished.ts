import * as z from "zod/mini";
import type { Clock } from "../lib/clock.ts";
import { BlfError, isRetryable } from "../lib/errors.ts";
import { jsonOrNothing } from "../node/journal/facts.ts";
import type { Journal } from "../node/journal/journal.ts";

/** Something that a command does once, such as one stake, however often it is interrupted on its way. */
export type Act = {
  /** Makes the purposes of its transactions unique. */
  id: string;
  /** Whether an earlier run of the same command has signed `purpose` for it. */
  hasSent(purpose: string): boolean;
};

const factSchema = z.object({ id: z.string(), detail: z.string() });

export type ActOptions = {
  journal: Journal;
  clock: Clock;
  /** What kind of act it is: one of a kind is remembered at a time. */
  kind: string;
  /** Two runs of a command mean the same act when this is equal, for example the amount. */
  detail: string;
};

/**
 * Runs an act of the user. While it has not ended, its identity lies in the journal, so that the same command, run again after
 * Ctrl-C, a crash or an error that may pass, goes on with the transactions that were sent instead of sending others.
 */
export async function runAct<T>(options: ActOptions, action: (act: Act) => Promise<T>): Promise<T> {
  const { journal, clock, kind, detail } = options;
  const fact = factOf(options);
  const earlier = unfinishedId(options);
  const id = earlier ?? `${kind}:${clock.now()}:${crypto.randomUUID().slice(0, 8)}`;
  if (!earlier) journal.setFact(fact, JSON.stringify({ id, detail }));
  try {
    const result = await action({ id, hasSent: (purpose) => journal.transactions.find(purpose) !== undefined });
    journal.setFact(fact, "");
    return result;
  } catch (error) {
    if (isFinal(error)) journal.setFact(fact, "");
    throw error;
  }
}

/** Whether the same act, tried again, would end the same way. */
function isFinal(error: unknown): boolean {
  return error instanceof BlfError && !isRetryable(error) && error.code !== "INTERRUPTED";
}

/** The id of such an act that was begun and has not ended. */
export function unfinishedId(options: Pick<ActOptions, "journal" | "kind" | "detail">): string | undefined {
  const { data } = factSchema.safeParse(jsonOrNothing(options.journal.fact(factOf(options))));
  return data?.detail === options.detail ? data.id : undefined;
}

function factOf({ kind }: { kind: string }): string {
  return `unfinished:${kind}`;
}
