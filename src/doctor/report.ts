import type { Finding, Severity } from "./check.ts";

export type DoctorReport = {
  /** No finding is an error. */
  healthy: boolean;
  counts: Record<Severity, number>;
  /** Milliseconds for all of it. */
  ms: number;
  findings: Finding[];
};

export function summary(findings: Finding[]): Pick<DoctorReport, "healthy" | "counts"> {
  const counts: Record<Severity, number> = { ok: 0, info: 0, warning: 0, error: 0 };
  for (const { severity } of findings) counts[severity]++;
  return { healthy: counts.error === 0, counts };
}
