import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runWeek } from "./run-week.ts";

/**
 * `make week`: as many polls as a node makes in a week (`POLLS=120000`), with everything else that its loops do in that time, and what the
 * node's memory does meanwhile. Exits 1 when it grew by more than 10 MB over the second half.
 */
const allowedMegabytes = 10;
const polls = Number(process.env["POLLS"] || 120_000);
if (!(polls >= 100)) throw new Error("POLLS must be a number, at least 100");
const seed = process.env["SEED"] || "1";
const directory = mkdtempSync(join(tmpdir(), "blindference-week-"));
try {
  const result = await runWeek({
    directory,
    seed,
    polls,
    factor: 2500,
    sampleEveryMs: 1000,
    onProgress: ({ polls: done, elapsedMs, megabytes }) =>
      console.error(
        `${Math.round(elapsedMs / 1000)} s: ${done} polls (${Math.round((done * 1000) / elapsedMs)} per second), ${megabytes?.toFixed(1)} MB`,
      ),
  });
  const { growth } = result;
  const grown = growth === undefined ? undefined : growth.to - growth.from;
  const ok = grown !== undefined && grown <= allowedMegabytes && result.exitCode === 0;
  if (process.argv.includes("--json")) console.log(JSON.stringify({ ok, seed, grownMegabytes: grown, ...result }));
  else {
    console.log(
      `${result.polls} polls, ${result.heartbeats} heartbeats, ${result.attestations} attestations, ${result.faults} answers out of order in ${(result.elapsedMs / 1000).toFixed(0)} s`,
    );
    console.log(
      growth === undefined
        ? "memory: unknown on this system"
        : `memory: ${growth.from.toFixed(1)} → ${growth.to.toFixed(1)} MB over the second half (≤ +${allowedMegabytes} MB); exit ${result.exitCode}`,
    );
    console.log(ok ? "The acceptance holds." : "The acceptance does NOT hold.");
  }
  process.exitCode = ok ? 0 : 1;
} finally {
  rmSync(directory, { recursive: true, force: true });
}
