import { systemClock } from "../../lib/clock.ts";
import { BlfError, exitCodes } from "../../lib/errors.ts";
import { printable } from "../../lib/printable.ts";
import { closest } from "../../lib/suggest.ts";
import { describeCustomBackends } from "../../node/custom-backends.ts";
import { createInference, type Inference } from "../../node/inference.ts";
import { withoutNarrowing } from "../../node/models.ts";
import { openSession, type Session } from "../session.ts";
import { interruptSignal } from "../ui/interrupt.ts";
import { print, printJson, printTable, stderrLogger } from "../ui/io.ts";

export type TestOptions = { model?: string; backend?: string; prompt?: string; json?: boolean };

const defaultPrompt = "Hello, test. In one sentence: what is a hash function?";

/** `models test`: one prompt through the same code that answers jobs, in the same kind of process. */
export async function runTest(id: string | undefined, prompt: string | undefined, options: TestOptions): Promise<void> {
  const session = openSession();
  const inference = await openInference(session);
  const interrupt = interruptSignal();
  try {
    const modelId = chooseModel(inference, options.model ?? id, options.backend);
    const started = performance.now();
    await inference.warm(modelId, interrupt.signal);
    const loadMs = performance.now() - started;
    const onToken = options.json ? {} : { onToken: (text: string) => void process.stdout.write(visible(text)) };
    const generation = await inference.generate(
      { modelId, prompt: options.prompt ?? prompt ?? defaultPrompt },
      { signal: interrupt.signal, ...onToken },
    );
    const { text, outputTokens, promptTokens, finishReason, ms, determinismClass } = generation;
    const backend = inference.backendOf(modelId).name;
    const tokensPerSecond = rate(outputTokens, ms);
    if (options.json)
      return printJson({
        ok: true,
        model: modelId,
        backend,
        text,
        finishReason,
        promptTokens,
        outputTokens,
        ms: Math.round(ms),
        loadMs: Math.round(loadMs),
        tokensPerSecond,
        determinismClass,
      });
    print("\n");
    printTable([
      ["model", `${modelId} by ${backend}`],
      ["tokens", `${promptTokens} in, ${outputTokens} out${finishReason === "length" ? ", cut at max_tokens" : ""}`],
      ["speed", tokensPerSecond === null ? "too fast to measure" : `${tokensPerSecond} tokens per second`],
      ["loading", `${(loadMs / 1000).toFixed(1)} s`],
      ["class", determinismClass],
    ]);
  } finally {
    interrupt.clear();
    await inference.close();
  }
}

/** Every backend, also of models that are not offered: what is tested now may be offered later. */
export async function openInference({ config, secrets }: Session): Promise<Inference> {
  // That a model was loaded is news in a daemon's log, not here.
  const log = stderrLogger(config.log_level === "info" ? "warn" : config.log_level, config.log_format);
  await describeCustomBackends(config, log, systemClock);
  return createInference(withoutNarrowing(config), log, systemClock, { secrets });
}

/** @throws BlfError `MODEL_UNKNOWN`, `BACKEND_UNKNOWN`, `MODEL_MISSING` (usage) */
export function chooseModel(inference: Inference, wanted: string | undefined, backend: string | undefined): string {
  const all = inference.describe();
  const names = [...new Set(all.map((model) => model.backend))];
  if (backend !== undefined && !names.includes(backend))
    throw new BlfError({
      code: "BACKEND_UNKNOWN",
      message: `No backend ${backend} has a model here`,
      hint: names.length > 0 ? `These have: ${names.join(", ")}.` : "Run `blindference models list`.",
      exitCode: exitCodes.usage,
    });
  const models = all.filter((model) => backend === undefined || model.backend === backend);
  if (wanted !== undefined && models.some(({ id }) => id === wanted)) return wanted;
  const ids = models.map(({ id }) => id);
  if (wanted !== undefined) {
    const suggestion = closest(wanted, ids);
    throw new BlfError({
      code: "MODEL_UNKNOWN",
      message: `${backend ? `The backend ${backend}` : "No backend"} serves ${backend ? "no" : "the"} model ${wanted}`,
      hint: suggestion ? `Did you mean ${suggestion}?` : "Run `blindference models list` to see the models.",
      exitCode: exitCodes.usage,
    });
  }
  const [only, ...others] = ids;
  if (only !== undefined && (others.length === 0 || backend !== undefined)) return only;
  throw new BlfError({
    code: "MODEL_MISSING",
    message: only === undefined ? "No model is configured" : `There are ${ids.length} models`,
    hint:
      only === undefined
        ? "Bring one with `blindference models pull` or `blindference models add`."
        : `Name one with --model, for example --model ${only}.`,
    exitCode: exitCodes.usage,
  });
}

/** Tokens per second with one decimal; null when there was nothing to measure. */
export function rate(tokens: number, ms: number): number | null {
  return ms > 0 && tokens > 0 ? Math.round((tokens / ms) * 10_000) / 10 : null;
}

/** A model's text must not command the terminal; its lines stay lines. */
function visible(text: string): string {
  return text.split("\n").map(printable).join("\n");
}
