import { childrenOf, residentMegabytes } from "../bench/node.ts";
import { median } from "../bench/report.ts";

/** Resident memory at one time: milliseconds since the epoch, and MB (10^6 bytes). */
export type Sample = { at: number; megabytes: number };

/** Adds what a process holds now, if it runs and the system tells. */
export function sample(samples: Sample[], pid: number | undefined): void {
  if (pid === undefined || process.platform !== "linux") return;
  try {
    samples.push({ at: Date.now(), megabytes: residentMegabytes(pid) });
  } catch {
    // It ended this moment.
  }
}

/** The first child of a process: of a node, its engine. */
export function childOf(pid: number | undefined): number | undefined {
  if (pid === undefined || process.platform !== "linux") return undefined;
  try {
    return childrenOf(pid)[0];
  } catch {
    return undefined;
  }
}

export type Growth = {
  /** Medians of the first and the last quarter of the time that was asked for, in MB. */
  from: number;
  to: number;
  /** (to - from) / from. */
  share: number;
};

/**
 * How much a process has grown between two times. Medians of quarters, since a single sample tells when the collector ran last. Undefined
 * with too few samples.
 */
export function growthBetween(samples: readonly Sample[], start: number, end: number): Growth | undefined {
  const quarter = (end - start) / 4;
  const within = (from: number, to: number) =>
    samples.filter(({ at }) => at >= from && at <= to).map(({ megabytes }) => megabytes);
  const first = within(start, start + quarter);
  const last = within(end - quarter, end);
  if (first.length < 3 || last.length < 3) return undefined;
  const [from, to] = [median(first), median(last)];
  return { from, to, share: (to - from) / from };
}
