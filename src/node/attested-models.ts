import type { Journal } from "./journal/journal.ts";

const fact = "attested-models";

/** Remembers for which models the certificate was given. */
export function rememberAttested(journal: Journal, models: readonly string[]): void {
  journal.setFact(fact, textOf(models));
}

/** Whether the certificate was given for exactly these models. */
export function wasAttestedFor(journal: Journal, models: readonly string[]): boolean {
  return journal.fact(fact) === textOf(models);
}

function textOf(models: readonly string[]): string {
  return JSON.stringify([...models].sort());
}
