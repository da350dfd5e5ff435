import type { DoctorContext } from "./context.ts";

/** `ok` and `info` need nobody; a `warning` costs something; an `error` keeps the node from working. */
export type Severity = "ok" | "info" | "warning" | "error";

/** One thing that was looked at. */
export type Finding = {
  /** Stable, the same on every machine: `icl-clock`. */
  id: string;
  /** What was looked at, in words. */
  title: string;
  severity: Severity;
  /** What was found. Holds nothing secret. */
  detail: string;
  /** What to do about a warning or an error; null when there is nothing to do. */
  remedy: string | null;
};

export type Check = {
  /** The finding that stands for this check when it cannot be completed. */
  id: string;
  title: string;
  /** `machine` runs even without a valid configuration, `node` only where a node was initialised. */
  needs: "machine" | "config" | "node";
  /** Longest time, in milliseconds; 5 s by default. */
  timeoutMs?: number;
  run(ctx: DoctorContext): Promise<Finding[]>;
};

type About = Pick<Check, "id" | "title">;

export function ok({ id, title }: About, detail: string): Finding {
  return { id, title, severity: "ok", detail, remedy: null };
}

export function info({ id, title }: About, detail: string): Finding {
  return { id, title, severity: "info", detail, remedy: null };
}

export function warning({ id, title }: About, detail: string, remedy: string): Finding {
  return { id, title, severity: "warning", detail, remedy };
}

export function failed({ id, title }: About, detail: string, remedy: string): Finding {
  return { id, title, severity: "error", detail, remedy };
}

/** What could not be looked at because of something else, which has a finding of its own. */
export function notChecked(about: About, because: string): Finding {
  return info(about, `not checked: ${because}`);
}
