import { readFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { createProver } from "../../src/cofhe/prover.ts";
import { systemRandom } from "../../src/crypto/random.ts";
import { createLlamaBackend } from "../../src/inference/llama/backend.ts";
import { systemClock as clock } from "../../src/lib/clock.ts";
import { createLogger } from "../../src/lib/log.ts";
import { startLoop } from "../../src/node/loops/loop.ts";
import { createMetrics } from "../../src/node/metrics.ts";

/** What this process has its main thread wait for; given as JSON in the first argument. */
export type Work =
  | { kind: "generation"; modelPath: string; contextSize: number; maxTokens: number; command: string[] }
  | { kind: "proof"; publicKeyPath: string; crsPath: string }
  /** For comparison: nothing until standard input ends. */
  | { kind: "nothing" };

/** All in milliseconds. */
export type Watched = { workMs: number; longestStall: number; heartbeatLateness: number[] };

const periodMs = 1000;
const log = createLogger({ level: "error", format: "text", clock, write: console.error });

/** The work as a function, with everything that it needs already in memory. */
function prepare(work: Work): { run(signal: AbortSignal): Promise<unknown>; close(): Promise<void> } {
  if (work.kind === "nothing") return { run: () => Bun.stdin.text(), close: async () => {} };
  if (work.kind === "proof") {
    const hex = (path: string) => readFileSync(path).toString("hex");
    const values = Array.from({ length: 16 }, () => BigInt(`0x${Buffer.from(systemRandom(16)).toString("hex")}`));
    const keys = { publicKey: hex(work.publicKeyPath), crs: hex(work.crsPath) };
    const prover = createProver();
    const request = { ...keys, values, metadata: new Uint8Array(53) };
    return { run: (signal) => prover.prove(request, signal), close: prover.close };
  }
  const { modelPath: path, contextSize, maxTokens, command } = work;
  const models = { bench: { path, contextSize, maxTokens } };
  const backend = createLlamaBackend({ models, threads: 1, isolation: "process", command, log, clock });
  const request = { modelId: "bench", prompt: "Tell me of the quiet river." };
  return { run: (signal) => backend.generate(request, { signal }), close: backend.close };
}

/** Runs the work once while a loop of the node beats beside it, and says how well this thread kept time. */
async function watch(work: Work): Promise<Watched> {
  const { run, close } = prepare(work);
  const ending = new AbortController();
  const beats: number[] = [];
  const beat = async () => {
    beats.push(performance.now());
  };
  const ctx = { clock, log, metrics: createMetrics(), random: systemRandom };
  const loop = startLoop(ctx, { name: "heartbeat", periodMs, run: beat }, ending.signal);
  const delay = monitorEventLoopDelay({ resolution: 10 });
  await clock.sleep(2.5 * periodMs);
  delay.enable();
  const started = performance.now();
  await run(AbortSignal.timeout(280_000));
  const workMs = performance.now() - started;
  const longestStall = delay.max / 1e6;
  await clock.sleep(periodMs);
  ending.abort();
  await loop.finished;
  await close();
  const during = beats.filter((time) => time > started);
  const heartbeatLateness = during.map((time) => Math.abs(time - beats[beats.indexOf(time) - 1]! - periodMs));
  return { workMs, longestStall, heartbeatLateness };
}

if (import.meta.main) {
  console.log(JSON.stringify(await watch(JSON.parse(process.argv[2]!) as Work)));
  process.exit(0);
}
