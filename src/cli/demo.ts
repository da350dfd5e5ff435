import { existsSync } from "node:fs";
import type { Command } from "commander";
import * as z from "zod/mini";
import { expandPath } from "../config/load.ts";
import { takeSecrets } from "../config/secrets.ts";
import { runDemo } from "../devnet/demo/demo.ts";
import { demoText } from "../devnet/demo/report.ts";
import { BlfError, exitCodes } from "../lib/errors.ts";
import { printable } from "../lib/printable.ts";
import { interruptSignal } from "./ui/interrupt.ts";
import { print, printJson, stderrLogger } from "./ui/io.ts";

type Options = { prompt: string; model?: string; nodes: string; json?: boolean };

/** The documents of `--json`, by command. */
export const outputs: Record<string, z.ZodMiniType> = {
  demo: z.strictObject({
    /** False when the nodes did not agree. */
    ok: z.boolean(),
    prompt: z.string(),
    answer: z.string(),
    model: z.string(),
    outputCid: z.string(),
    commitment: z.string(),
    nodes: z.array(
      z.strictObject({
        address: z.string(),
        role: z.string(),
        commitment: z.nullable(z.string()),
        determinismClass: z.nullable(z.string()),
        agreed: z.boolean(),
      }),
    ),
    /** Wei of BLIND by address. */
    rewards: z.record(z.string(), z.string().check(z.regex(/^\d+$/))),
    /** Milliseconds by stage. */
    timings: z.record(z.string(), z.number()),
  }),
};

export function register(program: Command): void {
  program
    .command("demo")
    .description("Start a network of its own, send an encrypted prompt through it, show the decrypted answer. Offline.")
    .option("--prompt <text>", "what to ask", "What does a blind node see of this prompt?")
    .option("--model <path>", "a GGUF file; without it a tiny model with random weights is made")
    .option("--nodes <n>", "number of nodes, 3 to 6", "3")
    .option("--json", "print one JSON document")
    .action(run);
}

async function run(options: Options): Promise<void> {
  takeSecrets(process.env);
  if (!/^[3-6]$/.test(options.nodes)) throw invalidOption("--nodes must be a whole number from 3 to 6");
  if (options.prompt.trim() === "") throw invalidOption("--prompt must hold some text");
  const modelPath = options.model === undefined ? undefined : expandPath(options.model);
  if (modelPath !== undefined && !existsSync(modelPath)) throw invalidOption(`there is no model file ${modelPath}`);
  const interrupt = interruptSignal();
  try {
    const report = await runDemo({
      prompt: options.prompt,
      ...(modelPath === undefined ? {} : { modelPath }),
      nodes: Number(options.nodes),
      log: stderrLogger("warn", "auto"),
      signal: interrupt.signal,
      onStage: (stage, detail, ms) => {
        process.stderr.write(
          `${stage.padEnd(14)} ${`${(ms / 1000).toFixed(2)} s`.padStart(8)}  ${printable(detail)}\n`,
        );
      },
    });
    if (options.json) printJson(report);
    else print(demoText({ ...report, answer: printable(report.answer) }, modelPath === undefined));
    process.exitCode = report.ok ? exitCodes.ok : exitCodes.failed;
  } finally {
    interrupt.clear();
  }
}

function invalidOption(message: string): BlfError {
  return new BlfError({
    code: "USAGE_INVALID_OPTION",
    message: `${message.charAt(0).toUpperCase()}${message.slice(1)}`,
    hint: "Run `blindference demo --help`.",
    exitCode: exitCodes.usage,
  });
}
