import { latestTime } from "../../lib/clock.ts";
import type { Journal } from "./journal.ts";

// A journal may come from elsewhere, so a fact may hold anything: what cannot be read is as good as nothing.

/** A fact that is a time or a duration in milliseconds; 0 when there is none. */
export function millisecondsFact(journal: Pick<Journal, "fact">, name: string): number {
  const ms = Number(journal.fact(name) ?? 0);
  return Math.abs(ms) <= latestTime * 1000 ? ms : 0;
}

/** The value of a fact that holds JSON; undefined when it holds none. */
export function jsonOrNothing(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "");
  } catch {
    return undefined;
  }
}
