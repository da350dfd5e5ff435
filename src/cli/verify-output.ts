import type { Command } from "commander";
import * as z from "zod/mini";
import type { Verification } from "../inference/llama/transcript.ts";
import { BlfError, exitCodes } from "../lib/errors.ts";
import { printable } from "../lib/printable.ts";
import { openSession } from "./session.ts";
import { interruptSignal } from "./ui/interrupt.ts";
import { print, printJson, printTable } from "./ui/io.ts";

type Options = {
  model?: string;
  backend?: string;
  prompt?: string;
  promptFile?: string;
  output?: string;
  outputFile?: string;
  decode?: boolean;
  json?: boolean;
};

const count = z.int().check(z.nonnegative());
const milliseconds = z.nullable(z.number());

/** The document of `--json`, whether the model agrees or not; the exit code says the same as `ok`. */
export const outputs: Record<string, z.ZodMiniType> = {
  "verify-output": z.strictObject({
    ok: z.boolean(),
    agrees: z.boolean(),
    model: z.string(),
    backend: z.string(),
    determinismClass: z.string(),
    determinismClassHash: z.string(),
    /** What decided: one pass over prompt and output, or decoding again. */
    method: z.enum(["prefill", "decoding"]),
    /** Why one pass could not decide; null when it did. */
    doubt: z.nullable(z.enum(["other tokens", "near tie", "other text", "stop texts", "no pass"])),
    promptTokens: count,
    outputTokens: count,
    prefillMs: milliseconds,
    decodingMs: milliseconds,
    /** How many times faster the pass was; null unless both were done. */
    speedup: z.nullable(z.number()),
    departure: z.nullable(z.strictObject({ character: count, token: count, claimed: z.string(), model: z.string() })),
  }),
};

export function register(program: Command): void {
  program
    .command("verify-output")
    .description(
      "Tell whether a model answers a prompt with exactly this text, in one pass over both: several times faster than answering again. Exit code 1 when it does not. Files keep prompt and output from other users of this machine; - is standard input.",
    )
    .option("--model <id>", "the model")
    .option("--backend <name>", "a model of this backend")
    .option("--prompt <text>", "the prompt; others on this machine can see it")
    .option("--prompt-file <file>", "a file with the prompt, byte for byte")
    .option("--output <text>", "the output to verify; others on this machine can see it")
    .option("--output-file <file>", "a file with the output, byte for byte")
    .option("--decode", "also answer again, and compare the speed")
    .option("--json", "print one JSON document")
    .action(run);
}

async function run(options: Options): Promise<void> {
  if (options.promptFile === "-" && options.outputFile === "-")
    throw usage("Only one of the two can come from standard input");
  const { readText } = await import("./determinism/read-text.ts");
  const prompt = await textOf("prompt", options.prompt, options.promptFile, readText);
  const output = await textOf("output", options.output, options.outputFile, readText);
  const session = openSession();
  const { verifyOutput } = await import("./determinism/verify.ts");
  const interrupt = interruptSignal();
  try {
    const { model, backend, decode = false } = options;
    const result = await verifyOutput({ session, model, backend, prompt, output, decode, signal: interrupt.signal });
    const { departure } = result;
    if (options.json) printJson({ ok: result.agrees, ...result });
    else show(result);
    if (!options.json && departure?.model === "" && /^\r?\n$/.test(departure.claimed))
      print("The output ends with a line break that the model did not write: was it added by an editor or by echo?");
    process.exitCode = result.agrees ? exitCodes.ok : exitCodes.failed;
  } finally {
    interrupt.clear();
  }
}

async function textOf(
  what: "prompt" | "output",
  text: string | undefined,
  file: string | undefined,
  readText: (path: string) => Promise<string>,
): Promise<string> {
  if (text !== undefined && file !== undefined) throw usage(`Give --${what} or --${what}-file, not both`);
  if (text !== undefined) return text;
  if (file === undefined) throw usage(`The ${what} is missing`);
  return readText(file);
}

function usage(message: string): BlfError {
  return new BlfError({
    code: "USAGE_INVALID_OPTION",
    message,
    hint: "Run `blindference verify-output --help`.",
    exitCode: exitCodes.usage,
  });
}

export type VerifiedOutput = Omit<Verification, "doubt"> & {
  doubt: Verification["doubt"] | "no pass";
  model: string;
  backend: string;
  determinismClass: string;
  determinismClassHash: string;
  speedup: number | null;
};

const doubts: Record<NonNullable<VerifiedOutput["doubt"]>, string> = {
  "other tokens": "the model would have cut or said it otherwise",
  "near tie": "two tokens were nearly as likely as each other",
  "other text": "the output cannot be cut into tokens that give it again",
  "stop texts": "this model's answers end at stop texts",
  "no pass": "this backend does not show its tokens",
};

function show(result: VerifiedOutput): void {
  const { agrees, method, doubt, departure, prefillMs, decodingMs, speedup } = result;
  const ms = (value: number) => `${Math.round(value)} ms`;
  const times = [
    ...(prefillMs === null ? [] : [`one pass ${ms(prefillMs)}`]),
    ...(decodingMs === null ? [] : [`decoding ${ms(decodingMs)}`]),
    ...(speedup === null ? [] : [`${speedup} times as fast`]),
  ];
  const decided = method === "prefill" ? "one pass over prompt and output" : "answering again";
  printTable([
    ["result", agrees ? "the model answers with exactly this text" : "the model answers otherwise"],
    ["decided by", doubt === null ? decided : `${decided}: ${doubts[doubt]}`],
    ["model", `${result.model} by ${result.backend}`],
    ["class", result.determinismClass],
    ["class hash", result.determinismClassHash],
    ["tokens", `${result.promptTokens} in, ${result.outputTokens} out`],
    ["time", times.join(", ")],
  ]);
  if (!departure) return;
  print(`\nThey part at character ${departure.character}, about token ${departure.token}:`);
  print(`  given  ${quoted(departure.claimed)}`);
  print(`  model  ${quoted(departure.model)}`);
}

function quoted(text: string): string {
  return text === "" ? "(the end)" : printable(JSON.stringify(text));
}
