import { join } from "node:path";
import { buildTinyModel } from "../../native/tiny-model.ts";
import type { Backend } from "../../src/inference/backend.ts";
import { createLlamaBackend, type LlamaBackendOptions } from "../../src/inference/llama/backend.ts";
import { usableCores } from "../../src/inference/llama/threads.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { createLogger } from "../../src/lib/log.ts";
import { type BareLlama, openBareLlama } from "./bare-llama.ts";
import type { Bench } from "./bench.ts";
import { measured, median, type Row } from "./report.ts";

const rounds = 7;
const tokens = 48;
const modelId = "bench";
const prompts = Array.from({ length: 4 }, (_, index) => `${index} the light stone river `.repeat(8));
const longPrompt = "open quiet hand path ".repeat(120);
const never = new AbortController().signal;

type Setup = { path: string; threads: number; bare: BareLlama; open(options?: Partial<LlamaBackendOptions>): Opened };
type Opened = { backend: Backend; loads(): number };

/** How fast the backend is against the bare library, a child against this process, and several jobs against the same in a row. */
export async function measureInference({ executable, directory, say }: Bench): Promise<Row[]> {
  const path = join(directory, "inference.gguf");
  const sizes = { dim: 512, heads: 8, kvHeads: 4, ff: 1536, layers: 8 };
  await Bun.write(path, buildTinyModel({ seed: 9, type: "q8_0", ...sizes }));
  const cores = usableCores();
  const threads = Math.max(1, cores - 1);
  const lines: string[] = [];
  const log = createLogger({
    level: "info",
    format: "text",
    clock: systemClock,
    write: (line) => void lines.push(line),
  });
  const bare = await openBareLlama({ path, maxThreads: cores + 2, log });
  const open = (options: Partial<LlamaBackendOptions> = {}): Opened => {
    const models = { [modelId]: { path, contextSize: 1024, maxTokens: tokens } };
    const command = [executable, "__engine"];
    const before = lines.length;
    const backend = createLlamaBackend({
      models,
      threads,
      command,
      isolation: "none",
      log,
      clock: systemClock,
      ...options,
    });
    return { backend, loads: () => lines.slice(before).filter((line) => line.includes(" model loaded ")).length };
  };
  const setup = { path, threads, bare, open };
  try {
    const rows: Row[] = [];
    for (const measure of [single, concurrent, verification, settings, loads, threadSweep]) {
      say(`  ${measure.name}`);
      rows.push(...(await measure(setup)));
    }
    return rows;
  } finally {
    await bare.close();
  }
}

/** One job at a time. The ways take turns, so that what else the machine does meets them alike. */
async function single({ bare, open, threads }: Setup): Promise<Row[]> {
  const loop = await bare.open({ threads });
  const { backend: direct } = open();
  const { backend: child } = open({ isolation: "process" });
  const firstToken: Record<"direct" | "child", number[]> = { direct: [], child: [] };
  const ways = {
    bare: async () => (await loop.run(prompts[0]!, tokens)).text,
    direct: () => ask(direct, prompts[0]!, firstToken.direct),
    child: () => ask(child, prompts[0]!, firstToken.child),
  };
  const times = await inTurns(ways);
  await Promise.all([loop.close(), direct.close(), child.close()]);
  const against = (a: keyof typeof ways, b: keyof typeof ways) => times[a].map((ms, round) => ms / times[b][round]!);
  return [
    measured({
      name: "inference: backend against the bare loop",
      unit: "×",
      values: against("direct", "bare"),
      limit: 1.031,
      note: `time, ${rounds} rounds in turns; ${speed(times.direct)} against ${speed(times.bare)}`,
    }),
    measured({
      name: "inference: child against direct",
      unit: "×",
      values: against("child", "direct"),
      limit: 1.053,
      note: `time; ${speed(times.child)} against ${speed(times.direct)}`,
    }),
    measured({ name: "inference: first token, warm", unit: "ms", values: firstToken.direct.slice(1) }),
    measured({ name: "inference: first token, warm, child", unit: "ms", values: firstToken.child.slice(1) }),
  ];
}

/** The same jobs at once and in a row, which must give the same texts. */
async function concurrent({ open }: Setup): Promise<Row[]> {
  const rows: Row[] = [];
  for (const count of [2, 4]) {
    const { backend } = open({ maxConcurrent: count });
    const some = prompts.slice(0, count);
    const ways = {
      together: async () => (await Promise.all(some.map((prompt) => ask(backend, prompt)))).join("\n"),
      row: async () => {
        const texts: string[] = [];
        for (const prompt of some) texts.push(await ask(backend, prompt));
        return texts.join("\n");
      },
    };
    const times = await inTurns(ways);
    await backend.close();
    rows.push(
      measured({
        name: `inference: ${count} jobs at once against in a row`,
        unit: "×",
        values: times.together.map((ms, round) => ms / times.row[round]!),
        ...(count === 4 ? { limit: 1 } : {}),
        note: `time, the same texts; ${speed(times.together, count)} against ${speed(times.row, count)}`,
      }),
    );
  }
  return rows;
}

/** Checking an answer in one pass over it, against saying it. Where the pass does not decide, the check decodes and costs more. */
async function verification({ path, open }: Setup): Promise<Row[]> {
  const models = { [modelId]: { path, contextSize: 1024, maxTokens: 200 } };
  const { backend } = open({ models });
  const ratios: number[] = [];
  let byPrefill = 0;
  for (const prompt of prompts) {
    const request = { modelId, prompt };
    const { text, ms } = await backend.generate(request, { signal: never });
    const check = await backend.verify!(request, text, { signal: never });
    if (!check.agrees) throw new Error("the check denies the model's own answer");
    if (check.method === "prefill") byPrefill++;
    ratios.push(check.ms / ms);
  }
  await backend.close();
  const note = `time; 200 tokens each, ${byPrefill} of ${prompts.length} decided by the pass alone`;
  return [measured({ name: "inference: checking an answer against saying it", unit: "×", values: ratios, note })];
}

/** What equal answers everywhere cost: small batches and no flash attention, against what the library would choose. */
async function settings({ bare, threads }: Setup): Promise<Row[]> {
  const [ours, theirs] = [await bare.open({ threads }), await bare.open({ threads, defaults: true })];
  const ratios: Record<"prefillMs" | "generateMs", number[]> = { prefillMs: [], generateMs: [] };
  for (let round = 0; round < rounds; round++) {
    const [a, b] = [await ours.run(longPrompt, tokens), await theirs.run(longPrompt, tokens)];
    for (const part of ["prefillMs", "generateMs"] as const) ratios[part].push(a[part] / b[part]);
  }
  await Promise.all([ours.close(), theirs.close()]);
  const note = "time against the library's own settings, with as many threads";
  return [
    measured({ name: "inference: cost of determinism, prompt", unit: "×", values: ratios.prefillMs, note }),
    measured({ name: "inference: cost of determinism, answer", unit: "×", values: ratios.generateMs, note }),
  ];
}

async function loads({ path, open }: Setup): Promise<Row[]> {
  const models = { [modelId]: { path, contextSize: 1024, maxTokens: 2 } };
  const { backend, loads: loaded } = open({ models, isolation: "process", maxConcurrent: 2 });
  await Promise.all(Array.from({ length: 100 }, (_, job) => ask(backend, `job ${job}`)));
  await backend.close();
  return [measured({ name: "inference: model loads in 100 jobs", unit: "×", values: [loaded()], limit: 1 })];
}

/** From one thread to two more than there are cores. */
async function threadSweep({ bare, threads }: Setup): Promise<Row[]> {
  const speeds: { count: number; ms: number }[] = [];
  for (let count = 1; count <= usableCores() + 2; count++) {
    const loop = await bare.open({ threads: count });
    const times: number[] = [];
    for (let round = 0; round < 3; round++) {
      // Threads without cores of their own may take a second for a token.
      const { generateMs, tokens: said } = await loop.run("the", 16, 1000);
      times.push(generateMs / (said - 1));
    }
    await loop.close();
    speeds.push({ count, ms: median(times) });
  }
  const best = Math.min(...speeds.map(({ ms }) => ms));
  const chosen = speeds.find(({ count }) => count === threads)!.ms;
  const note = `${threads} chosen; ms per token: ${speeds.map(({ count, ms }) => `${count}: ${ms.toFixed(1)}`).join(", ")}`;
  return [
    measured({
      name: "inference: chosen threads against the best",
      unit: "×",
      values: [chosen / best],
      limit: 1.1,
      note,
    }),
  ];
}

/** Runs all ways once unmeasured, then in turns. @throws Error when they do not say the same */
async function inTurns<Way extends string>(ways: Record<Way, () => Promise<string>>): Promise<Record<Way, number[]>> {
  const names = Object.keys(ways) as Way[];
  const times = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Way, number[]>;
  for (let round = 0; round <= rounds; round++) {
    const texts: string[] = [];
    for (const name of names) {
      const started = performance.now();
      texts.push(await ways[name]());
      if (round > 0) times[name].push(performance.now() - started);
    }
    if (new Set(texts).size !== 1) throw new Error(`${names.join(", ")} do not say the same`);
  }
  return times;
}

async function ask(backend: Backend, prompt: string, firstToken?: number[]): Promise<string> {
  const started = performance.now();
  let isFirst = true;
  const onToken = () => {
    if (isFirst) firstToken?.push(performance.now() - started);
    isFirst = false;
  };
  return (await backend.generate({ modelId, prompt }, { signal: never, ...(firstToken ? { onToken } : {}) })).text;
}

function speed(times: number[], jobs = 1): string {
  return `${((jobs * tokens * 1000) / median(times)).toFixed(0)} tok/s`;
}
