import { availableParallelism } from "node:os";
import { createMetrics } from "../../src/node/metrics.ts";
import { simulate } from "./simulate.ts";

/** `SIM_RUNS=2000 make sim` runs many seeds on all cores, `SEED=7 make sim` one of them, with more of its events. */
type Totals = {
  runs: number;
  jobs: number;
  submitted: number;
  crashes: number;
  virtualMs: number;
  failed: Record<string, number>;
  bad: number[];
};

const environment = (name: string, fallback: number) => Number(process.env[name] || fallback);

async function runSeeds(first: number, count: number, step: number, events: number): Promise<Totals> {
  const metrics = createMetrics();
  const totals: Totals = { runs: 0, jobs: 0, submitted: 0, crashes: 0, virtualMs: 0, failed: {}, bad: [] };
  for (let index = 0; index < count; index++) {
    const seed = first + index * step;
    const result = await simulate(seed, { metrics, events });
    add(totals, { ...result, runs: 1, bad: result.violations.length > 0 ? [seed] : [] });
    if (result.violations.length === 0) continue;
    const head = `SEED=${seed} (${result.checksum})\n  ${result.violations.slice(0, 5).join("\n  ")}`;
    console.error(totals.bad.length > 3 ? head : `${head}\n${result.trace.join("\n")}`);
  }
  return totals;
}

function add(totals: Totals, more: Totals): void {
  for (const name of ["runs", "jobs", "submitted", "crashes", "virtualMs"] as const) totals[name] += more[name];
  for (const [code, count] of Object.entries(more.failed)) totals.failed[code] = (totals.failed[code] ?? 0) + count;
  totals.bad.push(...more.bad);
}

/** Splits the seeds among processes of their own: one simulated world fills one core. */
async function runWorkers(first: number, runs: number, workers: number): Promise<Totals> {
  const totals: Totals = { runs: 0, jobs: 0, submitted: 0, crashes: 0, virtualMs: 0, failed: {}, bad: [] };
  const children = Array.from({ length: Math.min(workers, runs) }, (_, index) => {
    const share = Math.ceil((runs - index) / workers);
    const env = { ...process.env, SIM_SHARE: `${first + index} ${share} ${workers}` };
    return Bun.spawn([process.execPath, import.meta.path], {
      env,
      stdio: ["ignore", "inherit", "inherit"],
      ipc: (message) => add(totals, message as Totals),
    });
  });
  const codes = await Promise.all(children.map((child) => child.exited));
  if (codes.some((code) => code !== 0)) throw new Error(`a worker ended with ${codes}`);
  return totals;
}

function report(totals: Totals, seconds: number): void {
  const { runs, jobs, submitted, crashes, virtualMs, failed, bad } = totals;
  console.log(
    `${runs} runs in ${seconds.toFixed(1)} s (${(runs / seconds).toFixed(1)} per second): ${jobs} jobs, ` +
      `${submitted} answers, ${crashes} crashes, ${(virtualMs / 3_600_000).toFixed(1)} simulated hours`,
  );
  console.log(`failed with a reason: ${JSON.stringify(failed)}`);
  if (bad.length > 0) console.log(`${bad.length} seeds break a rule: ${bad.sort((a, b) => a - b).join(" ")}`);
}

const [first = 1, count = 0, step = 1] = (process.env["SIM_SHARE"] ?? "").split(" ").filter(Boolean).map(Number);
if (count > 0) {
  process.send?.(await runSeeds(first, count, step, 60));
  process.exit(0);
}
const began = performance.now();
const totals = process.env["SEED"]
  ? await runSeeds(environment("SEED", 1), 1, 1, environment("SIM_EVENTS", 200))
  : await runWorkers(
      environment("SIM_FROM", 1),
      environment("SIM_RUNS", 500),
      environment("SIM_WORKERS", availableParallelism()),
    );
report(totals, (performance.now() - began) / 1000);
process.exit(totals.bad.length > 0 ? 1 : 0);
