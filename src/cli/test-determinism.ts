import type { Command } from "commander";
import * as z from "zod/mini";
import { exitCodes } from "../lib/errors.ts";
import { fingerprintDocument } from "./determinism/fingerprint.ts";
import { invalid, type Options, type Parsed, parseOptions } from "./determinism/options.ts";
import { matrixSchema } from "./determinism/report.ts";
import { openSession } from "./session.ts";
import { interruptSignal } from "./ui/interrupt.ts";

/** The document of `--json`: of the matrix, or of a fingerprint. Where something differs, `ok` is false and the exit code 1. */
export const outputs: Record<string, z.ZodMiniType> = {
  "test-determinism": z.union([matrixSchema, fingerprintDocument]),
};

export function register(program: Command): void {
  program
    .command("test-determinism")
    .description(
      "Ask a model the same in many ways - again, after other prompts, several at once, with other threads, in a new process - and compare the answers token by token. Exit code 1 when they differ.",
    )
    .option("--model <id>", "the model")
    .option("--backend <name>", "a model of this backend")
    .option("--prompt <text>", "ask this too, in place of the short prompt; others on this machine can see it")
    .option("--runs <count>", "how often prompts are repeated, in turn: 2 to 100000", "10")
    .option("--tokens <count>", "longest answer in tokens, for models of llama.cpp", "32")
    .option("--export <file>", "write a fingerprint of this machine's answers, for other operators, instead")
    .option("--against <file>", "tell whether this machine agrees with the fingerprint of another, instead")
    .option("--batch <tokens>", "for auditors: another batch size than the node's")
    .option("--flash-attention <on|off>", "for auditors: another flash attention than the node's")
    .option("--threads <count>", "for auditors: another number of threads than the node's")
    .option("--cpu <variant>", "for auditors: another CPU variant of this build than the node's")
    .option("--json", "print one JSON document")
    .action(run);
}

async function run(options: Options): Promise<void> {
  const parsed = parseOptions(options);
  const session = openSession();
  const interrupt = interruptSignal();
  try {
    const isEqual = await (options.export === undefined && options.against === undefined ? runMatrix : runPrint)({
      options,
      parsed,
      session,
      signal: interrupt.signal,
    });
    process.exitCode = isEqual ? exitCodes.ok : exitCodes.failed;
  } finally {
    interrupt.clear();
  }
}

type Parameters = { options: Options; parsed: Parsed; session: ReturnType<typeof openSession>; signal: AbortSignal };

async function runMatrix({ options, parsed, session, signal }: Parameters): Promise<boolean> {
  const [{ findSubject }, { measure }, { report }] = await Promise.all([
    import("./determinism/subject.ts"),
    import("./determinism/measure.ts"),
    import("./determinism/report.ts"),
  ]);
  const subject = await findSubject(session, options, signal);
  refuseOverrides(parsed, subject.local !== undefined);
  const measurement = await measure({
    ...parsed,
    session,
    subject,
    prompt: options.prompt,
    signal,
    onProgress: progress(options),
  });
  return report(measurement, { runs: parsed.runs, json: options.json ?? false });
}

async function runPrint({ options, parsed, session, signal }: Parameters): Promise<boolean> {
  const [{ findSubject }, { readFingerprint, runFingerprint }] = await Promise.all([
    import("./determinism/subject.ts"),
    import("./determinism/fingerprint.ts"),
  ]);
  // What cannot be read is refused before a model is loaded.
  const against = options.against === undefined ? undefined : readFingerprint(options.against);
  const subject = await findSubject(session, options, signal);
  refuseOverrides(parsed, subject.local !== undefined);
  const { overrides } = parsed;
  const json = options.json ?? false;
  return runFingerprint({ session, subject, overrides, exportPath: options.export, against, json, signal });
}

function refuseOverrides({ overrides }: Parsed, isLocal: boolean): void {
  if (!isLocal && Object.keys(overrides).length > 0)
    throw invalid("--batch, --flash-attention, --threads and --cpu are for models of llama.cpp");
}

const progressMs = 2000;

/** On a terminal: a line when a row begins, and now and then while it lasts. */
function progress({ json }: Options): (at: { row: string; done: number; of: number }) => void {
  if (json || !process.stderr.isTTY) return () => {};
  let shownAt = 0;
  return ({ row, done, of }) => {
    if (done > 0 && performance.now() - shownAt < progressMs) return;
    shownAt = performance.now();
    process.stderr.write(`${row}  ${done}/${of}\n`);
  };
}
