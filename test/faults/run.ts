import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { playRounds } from "./crew.ts";
import { planOf, type Round } from "./plan.ts";
import { nameOf, pointsOf } from "./points.ts";
import { isBad, type Judged, judge, type Row, tabulate } from "./verdict.ts";
import { type Model, startWorld } from "./world.ts";

/**
 * `FAULT_SEEDS=100 make faults` kills nodes at every point with each of the seeds, `SEED=7 make faults` with one of them,
 * `POINT="after committed"` at one point only. `FAULT_MINUTES` begins no more rounds after so long.
 */
const environment = (name: string, fallback: number) => Number(process.env[name] || fallback);

const executable = resolve(
  process.env["FAULT_EXECUTABLE"] ?? join(import.meta.dir, "..", "..", "dist", "blindference-test"),
);
const points = [...pointsOf("leader"), ...pointsOf("verifier")];

function plan(): Round[] {
  const only = process.env["POINT"] || undefined;
  if (only !== undefined && !points.some((known) => nameOf(known) === only))
    throw new Error(`no point is called "${only}": ${[...new Set(points.map(nameOf))].join(", ")}`);
  if (process.env["SEED"]) return planOf(environment("SEED", 1), { only });
  const seeds = Array.from({ length: environment("FAULT_SEEDS", 10) }, (_, index) => index + 1);
  return seeds.flatMap((seed) => planOf(seed, { only }));
}

/** Crews take rounds from one list, so that the seeds are done one after the other. One crew in eight runs llama.cpp. */
async function play(rounds: Round[]): Promise<Judged[]> {
  const total = rounds.length;
  const crews = Math.min(environment("FAULT_CREWS", 4 * availableParallelism()), total);
  const endAt = performance.now() + environment("FAULT_MINUTES", 24 * 60) * 60_000;
  const world = await startWorld(executable);
  try {
    const next = () => {
      if (performance.now() >= endAt) return undefined;
      const round = rounds.shift();
      const done = total - rounds.length;
      if (round && done % 100 === 0) console.error(`round ${done} of ${total}, seed ${round.seed}`);
      return round;
    };
    const models = Array.from({ length: crews }, (_, index): Model => (index % 8 === 7 ? "llama" : "mock"));
    const played = (await Promise.all(models.map((model) => playRounds(world, model, next)))).flat();
    const judged = await judge(world, played);
    const bad = new Set(judged.filter(isBad).map(({ taskId }) => taskId));
    for (const one of played.filter(({ taskId }) => bad.has(taskId)).slice(0, 3))
      for (const node of [one.leader, one.verifier])
        console.error(`${node.name} in ${one.taskId}:\n${node.logOf(one.taskId).join("\n")}`);
    return judged;
  } finally {
    await world.stop();
  }
}

function print(rows: Row[], seconds: number): void {
  const sum = (name: "rounds" | "lost" | "conflicting" | "duplicates" | "odd") =>
    rows.reduce((total, row) => total + row[name], 0);
  const head = ["role", "killed", "rounds", "lost", "conflicting", "duplicates", "odd"] as const;
  const line = (cells: readonly (string | number)[]) =>
    cells.map((cell, index) => (index < 2 ? String(cell).padEnd(index ? 30 : 10) : String(cell).padStart(12))).join("");
  console.log(line(head));
  for (const row of rows)
    console.log(line([row.role, row.point, row.rounds, row.lost, row.conflicting, row.duplicates, row.odd]));
  const totals = [sum("rounds"), sum("lost"), sum("conflicting"), sum("duplicates"), sum("odd")];
  console.log(line(["all", `in ${Math.round(seconds)} s`, ...totals]));
}

if (!existsSync(executable)) throw new Error(`${executable} is not there: make dist/blindference-test`);
const began = performance.now();
const judged = await play(plan());
for (const { point, seed, verdict } of judged.filter(isBad).slice(0, 50))
  console.log(`SEED=${seed} POINT="${nameOf(point)}" (${point.role}): ${Object.values(verdict).flat().join("; ")}`);
print(tabulate(judged, points), (performance.now() - began) / 1000);
process.exit(judged.some(isBad) ? 1 : 0);
