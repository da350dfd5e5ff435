import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { executable } from "../e2e/executable.ts";
import { formatProgress, formatReport, soakReport } from "./report.ts";
import { runSoak } from "./soak.ts";

/**
 * `make soak`: the compiled file on a devnet in which every dependency fails one time in ten, the coordinator is killed every 5 minutes and a
 * node every 2. `SOAK_MINUTES=10 SEED=7 make soak`. Exits 1, with the reasons, when a job got lost, a stake was slashed, or memory grew.
 *
 * --executable <file>  another compiled file · --keep  keeps logs and journals · --json  one JSON document at the end
 */
const args = process.argv.slice(2);
const given = (name: string) => args[args.indexOf(name) + 1];
const file = args.includes("--executable") ? given("--executable")! : executable;
const isJson = args.includes("--json");
const minutes = Number(process.env["SOAK_MINUTES"] || 60);
const seed = process.env["SEED"] || String(Date.now());
if (!existsSync(file)) throw new Error(`${file} is not there: \`make build\` makes it`);
if (!(minutes >= 1)) throw new Error("SOAK_MINUTES must be a number of minutes, at least 1");

const directory = mkdtempSync(join(tmpdir(), "blindference-soak-"));
console.error(`SEED=${seed}, ${minutes} minutes; logs and journals in ${directory}`);
const result = await runSoak({
  executable: file,
  directory,
  seed,
  durationMs: minutes * 60_000,
  victims: 4,
  steady: 2,
  killEveryMs: 120_000,
  coordinatorEveryMs: 300_000,
  nodeAwayMs: 10_000,
  coordinatorAwayMs: 15_000,
  jobEveryMs: 6000,
  sampleEveryMs: 10_000,
  faultRate: 0.1,
  model: "tiny",
  onProgress: (progress) => console.error(formatProgress(progress)),
});
const report = soakReport(result);
console.log(isJson ? JSON.stringify({ seed, ...report }) : formatReport(report));
if (report.ok && !args.includes("--keep")) rmSync(directory, { recursive: true, force: true });
else console.error(`logs and journals are kept in ${directory}`);
process.exit(report.ok ? 0 : 1);
