import type { Command } from "commander";
import * as z from "zod/mini";
import type { Divergence, SelfTestResult, TestedPrompt } from "../inference/determinism/self-test.ts";
import { BlfError, exitCodes } from "../lib/errors.ts";
import { openSession } from "./session.ts";
import { interruptSignal } from "./ui/interrupt.ts";
import { print, printColumns, printJson, printTable } from "./ui/io.ts";

type Options = { model?: string; backend?: string; prompt?: string; runs: string; json?: boolean };

const count = z.int().check(z.nonnegative());

/** The document of `--json`. There is one only if nothing differed; otherwise the command ends in `DETERMINISM_BROKEN`. */
export const outputs: Record<string, z.ZodMiniType> = {
  "test-determinism": z.strictObject({
    ok: z.literal(true),
    deterministic: z.literal(true),
    model: z.string(),
    backend: z.string(),
    determinismClass: z.string(),
    runs: count,
    /** Answers that were compared with the first of their prompt. */
    compared: count,
    prompts: z.array(
      z.strictObject({
        name: z.string(),
        promptTokens: count,
        outputTokens: count,
        sha256: z.string(),
        tokensPerSecond: z.nullable(z.number()),
      }),
    ),
    /** Prompts that do not fit into the model's context. */
    skipped: z.array(z.string()),
    notices: z.array(z.string()),
  }),
};

export function register(program: Command): void {
  program
    .command("test-determinism")
    .description(
      "Ask a model the same again and again - at once, after another prompt, in a fresh engine - and compare the answers byte for byte. Exit code 1 when they differ.",
    )
    .option("--model <id>", "the model")
    .option("--backend <name>", "a model of this backend")
    .option("--prompt <text>", "ask this too, in place of the short prompt")
    .option("--runs <count>", "how often each prompt is repeated at once", "3")
    .option("--json", "print one JSON document")
    .action(run);
}

/** Divergence that only long prompts show is what costs stake. */
const longEnough = 150;

async function run(options: Options): Promise<void> {
  const runs = parseRuns(options.runs);
  const session = openSession();
  const [{ chooseModel, openInference }, { testDeterminism }, { defaultPrompts }] = await Promise.all([
    import("./models/test.ts"),
    import("../inference/determinism/self-test.ts"),
    import("../inference/determinism/prompts.ts"),
  ]);
  const inference = await openInference(session);
  const modelId = chooseModel(inference, options.model, options.backend);
  const backend = inference.backendOf(modelId).name;
  await inference.close();
  const [short, ...long] = defaultPrompts;
  const own = { name: "yours", text: options.prompt ?? "", required: true };
  const isQuiet = options.json || !process.stderr.isTTY;
  const interrupt = interruptSignal();
  try {
    const result = await testDeterminism({
      open: () => openInference(session),
      modelId,
      prompts: [options.prompt === undefined ? short! : own, ...long],
      runs,
      signal: interrupt.signal,
      onRun: ({ number, of, prompt, how }) => {
        if (!isQuiet) process.stderr.write(`${number}/${of}  ${prompt}, ${how}\n`);
      },
    });
    report(result, { modelId, backend, runs, json: options.json ?? false });
  } finally {
    interrupt.clear();
  }
}

type About = { modelId: string; backend: string; runs: number; json: boolean };

function report(result: SelfTestResult, { modelId, backend, runs, json }: About): void {
  const { determinismClass, compared, prompts, skipped, divergence } = result;
  const notices = noticesOf(prompts, skipped);
  if (!json) printPrompts(prompts);
  if (divergence !== null) throw broken(modelId, divergence);
  if (json) {
    const about = { ok: true, deterministic: true, model: modelId, backend, determinismClass, runs };
    printJson({ ...about, compared, prompts, skipped, notices });
  } else
    printTable([
      ["model", `${modelId} by ${backend}`],
      ["class", determinismClass],
      ["result", `all ${compared} repetitions equal the first answer, byte for byte`],
      ...notices.map((notice): [string, string] => ["note", notice]),
    ]);
}

function printPrompts(prompts: TestedPrompt[]): void {
  printColumns(
    ["PROMPT", "TOKENS IN", "TOKENS OUT", "TOKENS/S", "SHA-256 OF THE ANSWER"],
    prompts.map(({ name, promptTokens, outputTokens, tokensPerSecond, sha256 }) => [
      name,
      String(promptTokens),
      String(outputTokens),
      tokensPerSecond === null ? "-" : String(tokensPerSecond),
      sha256,
    ]),
  );
  print("");
}

function noticesOf(prompts: TestedPrompt[], skipped: string[]): string[] {
  const longest = Math.max(0, ...prompts.map(({ promptTokens }) => promptTokens));
  return [
    ...(skipped.length > 0 ? [`does not fit into the model's context: ${skipped.join(", ")}`] : []),
    ...(longest <= longEnough
      ? [`no prompt had more than ${longEnough} tokens, and divergence often shows in longer ones only`]
      : []),
  ];
}

function broken(modelId: string, { prompt, how, position, token }: Divergence): BlfError {
  const near = token === null ? "" : `, about token ${token}`;
  return new BlfError({
    code: "DETERMINISM_BROKEN",
    message: `${modelId} answers the prompt "${prompt}" differently ${how.startsWith("run ") ? `in ${how}` : how}: from character ${position} on${near}`,
    hint: "Do not serve it: verifiers would reject its answers. Test memory and GPU, set gpu_layers to 0, or take another model.",
  });
}

function parseRuns(text: string): number {
  if (/^\d{1,3}$/.test(text) && Number(text) >= 2) return Number(text);
  throw new BlfError({
    code: "USAGE_INVALID_OPTION",
    message: "--runs must be a number from 2 to 999",
    hint: "Run `blindference test-determinism --help`.",
    exitCode: exitCodes.usage,
  });
}
