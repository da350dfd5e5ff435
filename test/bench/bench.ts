import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { executable } from "../e2e/executable.ts";
import { measureIdle } from "./idle.ts";
import { measureInference } from "./inference.ts";
import { measureNative } from "./native.ts";
import { measureOverhead } from "./overhead.ts";
import { formatTable, type Row, unmeasured } from "./report.ts";
import { measureStalls } from "./stalls.ts";
import { measureStart } from "./start.ts";

/** What every group of measurements is given. */
export type Bench = {
  /** The product as it is shipped. */
  executable: string;
  /** The checkout. */
  root: string;
  /** For files; removed at the end. */
  directory: string;
  /** Shows progress. */
  say(line: string): void;
};

const groups: Record<string, (bench: Bench) => Promise<Row[]>> = {
  start: measureStart,
  native: measureNative,
  idle: measureIdle,
  overhead: measureOverhead,
  stalls: measureStalls,
  inference: measureInference,
};

/** `bun test/bench/bench.ts [--json] [--strict] [--only start,native]` */
async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { json: { type: "boolean" }, strict: { type: "boolean" }, only: { type: "string" } },
  });
  const wanted = values.only?.split(",") ?? Object.keys(groups);
  const unknown = wanted.find((name) => !Object.hasOwn(groups, name));
  if (unknown !== undefined || !existsSync(executable)) {
    const groupNames = Object.keys(groups).join(", ");
    console.error(unknown ? `no group ${unknown}: choose of ${groupNames}` : "dist/ is empty: run `make build` first");
    return 2;
  }
  const directory = mkdtempSync(join(tmpdir(), "blindference-bench-"));
  const bench = {
    executable,
    root: resolve(import.meta.dir, "..", ".."),
    directory,
    say: (line: string) => console.error(line),
  };
  const load = [loadavg()[0]!];
  const rows: Row[] = [];
  try {
    for (const name of wanted) {
      bench.say(`${name} …`);
      rows.push(...(await groups[name]!(bench).catch((error: unknown) => failed(name, error))));
      load.push(loadavg()[0]!);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  const isFailed = rows.some(({ status }) => status === "failed");
  const isOver = rows.some(({ status }) => status === "OVER");
  const machine = { cpu: cpus()[0]?.model ?? "unknown", cores: cpus().length, load };
  if (values.json) console.log(JSON.stringify({ ok: !isFailed && !isOver, machine, rows }, null, 2));
  else {
    console.log(formatTable(rows));
    console.log(`\n${machine.cores} × ${machine.cpu}, load ${load.map((value) => value.toFixed(1)).join(" → ")}`);
  }
  return isFailed || (isOver && values.strict) ? 1 : 0;
}

function failed(name: string, error: unknown): Row[] {
  console.error(error);
  return [unmeasured(name, "failed", "the error is above")];
}

process.exitCode = await main();
