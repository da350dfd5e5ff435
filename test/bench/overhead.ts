import { Database } from "bun:sqlite";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildTinyModel } from "../../native/tiny-model.ts";
import { infer } from "../../src/requester/infer.ts";
import { until } from "../e2e/network.ts";
import type { Bench } from "./bench.ts";
import { startBenchNetwork } from "./network.ts";
import { measured, type Row } from "./report.ts";

const jobs = 21;
const modelId = "bench";
const steps = ["decrypt-key", "download", "warm-model", "take-output-key", "generate", "upload", "store-key", "submit"];

type Timings = Record<string, number>;

/** What the node adds to the model's own time in a leader's job, and where. */
export async function measureOverhead({ executable, directory, say }: Bench): Promise<Row[]> {
  const place = join(directory, "overhead");
  mkdirSync(place, { recursive: true });
  const path = join(place, "tiny.gguf");
  writeFileSync(path, buildTinyModel({ seed: 5 }));
  const models = JSON.stringify({ [modelId]: { path, max_tokens: 64 } });
  const environment = { BLF_MODELS: models, BLF_ENGINE_THREADS: "1" };
  const network = await startBenchNetwork({ executable, directory: place, nodes: Array(3).fill(environment) });
  try {
    const leader = network.nodes[0]!;
    for (let job = 0; job < jobs; job++) {
      const prompt = `Tell me of river number ${job}.`;
      const signal = AbortSignal.timeout(120_000);
      await infer(network.requester, { prompt, modelId, verifierCount: 2, currency: "blind", signal });
      say(`job ${job + 1} of ${jobs} is answered`);
    }
    const timings = await until("the journal has all jobs", () => {
      const found = submittedJobs(join(leader.directory, "journal.db"));
      return found.length === jobs ? found : undefined;
    });
    return rowsOf(timings);
  } finally {
    await network.stop();
  }
}

/** In milliseconds, per step. The first job of a node loads the model and the libraries; it is one of many in a node's life. */
function rowsOf(timings: Timings[]): Row[] {
  const per = (duration: (of: Timings) => number) => timings.map(duration);
  const step = (name: string) => (of: Timings) => {
    const ms = of[name];
    if (ms === undefined) throw new Error(`the journal has no duration of ${name}`);
    return ms;
  };
  const [total, generate] = [step("total"), step("generate")];
  const path = (of: Timings) =>
    Math.max(step("decrypt-key")(of), step("download")(of), step("warm-model")(of)) +
    step("take-output-key")(of) +
    Math.max(generate(of) + step("upload")(of), step("store-key")(of)) +
    step("submit")(of);
  return [
    measured({
      name: "leader's job: node overhead",
      unit: "ms",
      values: per((of) => total(of) - generate(of)),
      limit: 100,
      note: `${timings.length} jobs, from before the claim to after the submission, less generate`,
    }),
    measured({ name: "  total", unit: "ms", values: per(total) }),
    ...steps.map((name) => measured({ name: `  ${name}`, unit: "ms", values: per(step(name)) })),
    measured({
      name: "  rest",
      unit: "ms",
      values: per((of) => total(of) - path(of)),
      note: "claim, journal and sealing: the total less the longest path through the steps",
    }),
  ];
}

function submittedJobs(path: string): Timings[] {
  const db = new Database(path, { readonly: true });
  try {
    const sql = "SELECT timings FROM jobs WHERE role = 'leader' AND state = 'submitted' ORDER BY created_at";
    return (db.query(sql).all() as { timings: string }[]).map((row) => JSON.parse(row.timings) as Timings);
  } finally {
    db.close();
  }
}
