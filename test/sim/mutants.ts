import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

/**
 * Plants bugs in copies of the source, one in each, and tells how many seeds of the simulation catch them: `make mutants`, with `SIM_RUNS`
 * seeds for each (200). Exits 1 when a bug gets away.
 */
type Mutant = {
  name: string;
  file: string;
  /** Exact texts, and what stands in their place. */
  edits: [from: string, to: string][];
};

const mutants: Mutant[] = [
  {
    name: "claim before write: the coordinator hears of a claim that the journal does not know",
    file: "src/node/scheduler.ts",
    edits: [
      [
        "if (modelIsFree(assignment.modelId) && ctx.journal.begin(assignment))\n          start(",
        "if (modelIsFree(assignment.modelId))\n          void ctx.icl.claim(key.taskId, signal).then(() => ctx.journal.begin(assignment) && start(",
      ],
      [
        "assignment.modelId, { isNew: true, usesModel: true });",
        "assignment.modelId, { isNew: true, usesModel: true })).catch(() => {});",
      ],
    ],
  },
  {
    name: "no lock: two daemons run on one data directory",
    file: "src/node/lock.ts",
    edits: [["if (!lock) throw alreadyRunning(dir);\n  return lock;", "return lock ?? { release: () => {} };"]],
  },
  {
    name: "double submit: a transaction is neither looked up nor written down",
    file: "src/chain/sender.ts",
    edits: [
      [
        'if (other && other.status !== "reverted" && other.hashes[0] !== givenUp?.hashes[0])',
        'if (other && other.status === "reverted" && givenUp && other === givenUp)',
      ],
      ["store.save(sent);\n      shared.next", "shared.next"],
    ],
  },
  {
    name: "wrong resume: an uploaded answer is computed and uploaded anew",
    file: "src/node/jobs/run-job.ts",
    edits: [
      [
        '    case "uploaded":\n    case "key-stored":',
        '    case "uploaded":\n      return runLeader(ctx, job, signal);\n    case "key-stored":',
      ],
    ],
  },
  {
    name: "wrong resume: a committed answer is passed over",
    file: "src/node/jobs/run-job.ts",
    edits: [
      [
        '    case "committed":\n      return leader ?',
        '    case "committed":\n      return leader ? Promise.resolve() : leader ?',
      ],
    ],
  },
  {
    name: "swallowed error: a submission that failed counts as done",
    file: "src/node/jobs/leader.ts",
    edits: [
      [
        "(s) => ctx.icl.submitResult(result, s), submission)",
        '(s) => ctx.icl.submitResult(result, s).catch(() => ({ status: "lost" })), submission)',
      ],
    ],
  },
];

const root = resolve(import.meta.dir, "..", "..");
const runs = Number(process.env["SIM_RUNS"] || 200);

/** A copy of what the simulation needs, with the bug in it. */
function plant({ file, edits }: Mutant): string {
  const copy = mkdtempSync(join(tmpdir(), "blindference-mutant-"));
  for (const name of ["src", "native", "test", "package.json", "tsconfig.json", "bunfig.toml"])
    cpSync(join(root, name), join(copy, name), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  let text = readFileSync(join(copy, file), "utf8");
  for (const [from, to] of edits) {
    if (text.split(from).length !== 2) throw new Error(`${file} does not have this text once: ${from}`);
    text = text.replace(from, () => to);
  }
  writeFileSync(join(copy, file), text);
  return copy;
}

/** The number of seeds that broke a rule. @throws Error when the simulation did not come to its end. */
async function seedsThatCatch(mutant: Mutant): Promise<number> {
  const copy = plant(mutant);
  try {
    const child = Bun.spawn([process.execPath, join("test", "sim", "run.ts")], {
      cwd: copy,
      env: { ...process.env, SIM_RUNS: String(runs) },
      stdio: ["ignore", "pipe", "ignore"],
    });
    const output = await child.stdout.text();
    const code = await child.exited;
    const caught = /^(\d+) seeds break a rule/m.exec(output)?.[1];
    if (!output.startsWith(`${runs} runs in`) || (code !== 0) !== (caught !== undefined))
      throw new Error(`the simulation of "${mutant.name}" ended with ${code}: ${output.slice(0, 500)}`);
    return Number(caught ?? 0);
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

let escaped = 0;
for (const mutant of mutants) {
  const caught = await seedsThatCatch(mutant);
  if (caught === 0) escaped++;
  console.log(`${String(caught).padStart(4)} of ${runs} seeds catch  ${mutant.name}`);
}
console.log(escaped === 0 ? "every planted bug was caught" : `${escaped} of ${mutants.length} got away`);
process.exit(escaped === 0 ? 0 : 1);
