import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildTinyModel } from "../../native/tiny-model.ts";
import { infer } from "../../src/requester/infer.ts";
import { until } from "../e2e/network.ts";
import type { Bench } from "./bench.ts";
import type { Watched, Work } from "./main-thread.ts";
import { startBenchNetwork } from "./network.ts";
import type { BenchNode } from "./node.ts";
import { measured, type Row, unmeasured } from "./report.ts";

const modelId = "bench";
/** Large enough, and with an answer long enough, for a generation of about ten seconds on one core. */
const model = { contextSize: 8192, maxTokens: 3500 };
const modelSizes = { seed: 5, dim: 256, layers: 6, ff: 512, contextLength: model.contextSize };
const limits = { generating: 20, proving: 100, heartbeat: 100 };

/** How long the daemon's main thread stands still while the model or a proof works, and what that does to heartbeats. */
export async function measureStalls(bench: Bench): Promise<Row[]> {
  const directory = join(bench.directory, "stalls");
  mkdirSync(directory, { recursive: true });
  const modelPath = join(directory, "model.gguf");
  writeFileSync(modelPath, buildTinyModel(modelSizes));
  const rows = await besideIdleProcess(async () => [await daemonStalls({ ...bench, directory }, modelPath)]);
  const command = [bench.executable, "__engine"];
  const generation = await watchInFreshProcess({ kind: "generation", modelPath, ...model, command }).result;
  rows.push(heartbeats("generating", generation));
  const keys = join(bench.root, "..", "shared", "tfhe");
  const [publicKeyPath, crsPath] = [join(keys, "pk.bin"), join(keys, "crs.bin")];
  const names = ["event-loop stall: proving", "heartbeat of 1 s: lateness while proving"];
  if (!existsSync(publicKeyPath) || !existsSync(crsPath))
    return [...rows, ...names.map((name) => unmeasured(name, "skipped", "no TFHE keys beside the checkout"))];
  const ofProof = async () => {
    const proof = await watchInFreshProcess({ kind: "proof", publicKeyPath, crsPath }).result;
    const { longestStall, workMs } = proof;
    const stall = { name: names[0]!, unit: "ms" as const, values: [longestStall], limit: limits.proving };
    return [measured({ ...stall, note: `a proof of 8 keys, ${seconds(workMs)}` }), heartbeats("proving", proof)];
  };
  return [...rows, ...(await besideIdleProcess(ofProof))];
}

/** Adds what a process without any work suffers meanwhile, which is the machine's doing. */
async function besideIdleProcess(measure: () => Promise<Row[]>): Promise<Row[]> {
  const idle = watchInFreshProcess({ kind: "nothing" });
  try {
    const [row, ...others] = await measure();
    idle.end();
    const { longestStall } = await idle.result;
    return [row!, measured({ name: "  an idle process meanwhile", unit: "ms", values: [longestStall] }), ...others];
  } finally {
    idle.end();
  }
}

/** The longest stalls that the daemon itself reports, one per second of a generation. */
async function daemonStalls(bench: Bench, path: string): Promise<Row> {
  const { executable, directory } = bench;
  const models = { [modelId]: { path, context_size: model.contextSize, max_tokens: model.maxTokens } };
  const environment = { BLF_MODELS: JSON.stringify(models), BLF_ENGINE_THREADS: "1" };
  const asking = new AbortController();
  const network = await startBenchNetwork({ executable, directory, nodes: Array(3).fill(environment) });
  try {
    const [leader, ...verifiers] = network.nodes as [BenchNode, ...BenchNode[]];
    // On a real network these are other machines: here they wait until the leader's time has been taken.
    for (const { process } of verifiers) process.kill("SIGSTOP");
    const request = { prompt: "Tell me of the quiet river.", modelId, verifierCount: 2, currency: "blind" as const };
    const answer = infer(network.requester, { ...request, signal: asking.signal });
    answer.catch((error: unknown) => {
      if (!asking.signal.aborted) bench.say(`the job failed: ${error}`);
    });
    const says = (message: string, state?: string) =>
      leader.log().some((line) => line.message === message && line.state === state);
    await until("the leader generates", () => says("step done", "take-output-key"));
    const started = performance.now();
    const stalls: number[] = [];
    for (let isFirst = true; !says("generated"); isFirst = false) {
      const longest = (await leader.metric("blindference_event_loop_stall_max_seconds")) * 1000;
      // The first one tells of the time before.
      if (!isFirst) stalls.push(longest);
      await Bun.sleep(1000);
    }
    const note = `longest of each second of a leader's job, ${seconds(performance.now() - started)} of generation`;
    const name = "event-loop stall: generating";
    return measured({ name, unit: "ms", values: stalls, limit: limits.generating, judged: "max", note });
  } finally {
    asking.abort();
    for (const { process } of network.nodes) process.kill("SIGCONT");
    await network.stop();
  }
}

function heartbeats(what: string, watched: Watched): Row {
  return measured({
    name: `heartbeat of 1 s: lateness while ${what}`,
    unit: "ms",
    values: watched.heartbeatLateness,
    limit: limits.heartbeat,
    judged: "max",
    note: `${watched.heartbeatLateness.length} heartbeats in ${seconds(watched.workMs)}; longest stall ${watched.longestStall.toFixed(1)} ms`,
  });
}

/** Runs and watches work in a process of its own. `end` closes its standard input. */
function watchInFreshProcess(work: Work): { end(): void; result: Promise<Watched> } {
  const command = [process.execPath, join(import.meta.dir, "main-thread.ts"), JSON.stringify(work)];
  const child = Bun.spawn(command, { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
  const finish = async () => {
    const [text, code] = await Promise.all([new Response(child.stdout).text(), child.exited]);
    if (code !== 0) throw new Error(`the ${work.kind} exited ${code}`);
    return JSON.parse(text) as Watched;
  };
  return { end: () => child.stdin.end(), result: finish() };
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
