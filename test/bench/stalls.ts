import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildTinyModel } from "../../native/tiny-model.ts";
import { infer } from "../../src/requester/infer.ts";
import { until } from "../e2e/network.ts";
import type { Bench } from "./bench.ts";
import type { Watched, Work } from "./main-thread.ts";
import { startBenchNetwork } from "./network.ts";
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
  const rows = [await daemonStalls({ ...bench, directory }, modelPath)];
  const command = [bench.executable, "__engine"];
  const generation = await inFreshProcess({ kind: "generation", modelPath, ...model, command });
  rows.push(heartbeats("generating", generation));
  const keys = join(bench.root, "..", "shared", "tfhe");
  const [publicKeyPath, crsPath] = [join(keys, "pk.bin"), join(keys, "crs.bin")];
  const names = ["event-loop stall: proving", "heartbeat of 1 s: lateness while proving"];
  if (!existsSync(publicKeyPath) || !existsSync(crsPath))
    return [...rows, ...names.map((name) => unmeasured(name, "skipped", "no TFHE keys beside the checkout"))];
  const proof = await inFreshProcess({ kind: "proof", publicKeyPath, crsPath });
  const stall = { name: names[0]!, unit: "ms" as const, values: [proof.longestStall], limit: limits.proving };
  return [...rows, measured({ ...stall, note: `a proof of 8 keys, ${seconds(proof.workMs)}` }), heartbeats("proving", proof)];
}

/** The longest stalls that the daemon itself reports, one per second of a generation. */
async function daemonStalls({ executable, directory }: Bench, path: string): Promise<Row> {
  const models = { [modelId]: { path, context_size: model.contextSize, max_tokens: model.maxTokens } };
  const environment = { BLF_MODELS: JSON.stringify(models), BLF_ENGINE_THREADS: "1" };
  const network = await startBenchNetwork({ executable, directory, nodes: Array(3).fill(environment) });
  try {
    const [leader, ...verifiers] = network.nodes as [(typeof network.nodes)[0], ...typeof network.nodes];
    // On a real network these are other machines: here they wait until the leader's time has been taken.
    const verifiersGet = (signal: "SIGSTOP" | "SIGCONT") => verifiers.forEach(({ process }) => process.kill(signal));
    verifiersGet("SIGSTOP");
    const signal = AbortSignal.timeout(240_000);
    const request = { prompt: "Tell me of the quiet river.", modelId, verifierCount: 2, currency: "blind" as const, signal };
    const answer = infer(network.requester, request);
    answer.catch(() => {});
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
    verifiersGet("SIGCONT");
    await answer;
    const name = "event-loop stall: generating";
    return measured({ name, unit: "ms", values: stalls, limit: limits.generating, judged: "max", note });
  } finally {
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

async function inFreshProcess(work: Work): Promise<Watched> {
  const command = [process.execPath, join(import.meta.dir, "main-thread.ts"), JSON.stringify(work)];
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "inherit" });
  const [text, code] = await Promise.all([new Response(child.stdout).text(), child.exited]);
  if (code !== 0) throw new Error(`the ${work.kind} exited ${code}`);
  return JSON.parse(text) as Watched;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
