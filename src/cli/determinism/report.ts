import * as z from "zod/mini";
import type { Continuation, Divergence, Row } from "../../inference/determinism/row.ts";
import { determinismClassHash } from "../../inference/llama/determinism-class.ts";
import { printable } from "../../lib/printable.ts";
import { count as counted } from "../ui/format.ts";
import { print, printColumns, printJson, printTable } from "../ui/io.ts";
import type { Measurement } from "./measure.ts";

const count = z.int().check(z.nonnegative());
const speed = z.nullable(z.number());
const continuation = z.strictObject({ tokens: z.array(count), text: z.string() });

/** The document of the matrix, whether all rows are identical or not; the exit code says the same as `ok`. */
export const matrixSchema = z.strictObject({
  ok: z.boolean(),
  deterministic: z.boolean(),
  model: z.string(),
  backend: z.string(),
  determinismClass: z.string(),
  determinismClassHash: z.string(),
  /** What computed below the backend; null where only text is known. */
  setting: z.nullable(
    z.strictObject({
      batchSize: count,
      flashAttention: z.boolean(),
      threads: count,
      cpu: z.nullable(z.string()),
      /** Whether the node answers with this setting. */
      isNodes: z.boolean(),
    }),
  ),
  runs: count,
  /** Answers that were compared with a reference. */
  compared: count,
  rows: z.array(
    z.strictObject({
      name: z.string(),
      level: z.enum(["tokens", "text"]),
      verdict: z.enum(["identical", "differs", "skipped"]),
      /** Whether the node may come to answer this way; the others do not count for `ok` with the node's setting. */
      isNodes: z.boolean(),
      compared: count,
      tokensPerSecond: speed,
      reason: z.nullable(z.string()),
      divergence: z.nullable(
        z.strictObject({
          prompt: z.string(),
          kind: z.enum(["tokens", "numbers", "text"]),
          token: z.nullable(count),
          character: z.nullable(count),
          reference: continuation,
          found: continuation,
        }),
      ),
    }),
  ),
  /** The prompts that went through the backend as text. */
  prompts: z.array(
    z.strictObject({
      name: z.string(),
      promptTokens: count,
      outputTokens: count,
      sha256: z.string(),
      tokensPerSecond: speed,
    }),
  ),
  /** Prompts that do not fit into the model's context. */
  skipped: z.array(z.string()),
  notices: z.array(z.string()),
});

export type ReportOptions = { runs: number; json: boolean };

/** Prints the matrix and its verdict. @returns whether every row that ran is identical */
export function report(measurement: Measurement, { runs, json }: ReportOptions): boolean {
  const { subject, rows, prompts, skipped, determinismClass, settings, cpu } = measurement;
  const counts = ({ isNodes }: Row) => isNodes || settings?.isNodes === false;
  const differing = rows.filter((row) => row.verdict === "differs" && counts(row));
  const deterministic = differing.length === 0;
  const compared = rows.reduce((sum, row) => sum + row.compared, 0);
  const notices = noticesOf(measurement);
  if (json) {
    const setting = settings ? { ...settings.used, cpu: cpu ?? null, isNodes: settings.isNodes } : null;
    const about = { model: subject.modelId, backend: subject.backend, determinismClass };
    const hash = { determinismClassHash: determinismClassHash(determinismClass) };
    const result = { ok: deterministic, deterministic, ...about, ...hash, setting, runs, compared };
    printJson({ ...result, rows, prompts, skipped, notices });
    return deterministic;
  }
  printRows(rows);
  for (const { name, divergence } of rows) if (divergence) printDivergence(name, divergence);
  print("");
  printTable([
    ["model", `${subject.modelId} by ${subject.backend}`],
    ["class", determinismClass],
    ["class hash", determinismClassHash(determinismClass)],
    ...(settings ? [["setting", settingText(measurement)] as [string, string]] : []),
    ["result", deterministic ? soundText(rows, compared) : brokenText(differing, settings?.isNodes)],
    ...notices.map((notice): [string, string] => ["note", notice]),
  ]);
  return deterministic;
}

function printRows(rows: Row[]): void {
  printColumns(
    ["ROW", "COMPARED", "TOKENS/S", "VERDICT"],
    rows.map(({ name, compared, tokensPerSecond, verdict, reason, isNodes }) => [
      name,
      String(compared),
      tokensPerSecond === null ? "-" : String(tokensPerSecond),
      [verdict, ...(reason === null ? [] : [reason]), ...(isNodes ? [] : ["the node never does this"])].join(": "),
    ]),
  );
}

function printDivergence(row: string, { prompt, kind, token, character, reference, found }: Divergence): void {
  const where = [
    ...(character === null ? [] : [`character ${character}`]),
    ...(token === null ? [] : [`token ${token}`]),
  ];
  const what = kind === "numbers" ? "gives equal tokens, but other numbers behind them" : "parts from its reference";
  print(`\n${row}: the prompt "${prompt}" ${what} at ${where.join(", about ")}`);
  print(`  reference  ${shownText(reference)}`);
  print(`  found      ${shownText(found)}`);
}

/** Quoted, with nothing in it that could command a terminal, and the ids of the tokens behind. */
function shownText({ text, tokens }: Continuation): string {
  const ids = tokens.length > 0 ? `  [${tokens.join(" ")}]` : "";
  return `${text === "" && tokens.length === 0 ? "(the end)" : printable(JSON.stringify(text))}${ids}`;
}

function settingText({ settings, cpu }: Measurement): string {
  const { batchSize, flashAttention, threads } = settings!.used;
  const parts = [`batch ${batchSize}`, `flash attention ${flashAttention ? "on" : "off"}`, counted(threads, "thread")];
  const own = settings!.isNodes ? "the node's own" : "NOT the node's own: nothing here says how the node answers";
  return `${[...parts, ...(cpu === undefined ? [] : [`CPU variant ${cpu}`])].join(", ")} - ${own}`;
}

function soundText(rows: Row[], compared: number): string {
  if (rows.every(({ verdict }) => verdict !== "differs")) return `all ${compared} answers equal their reference`;
  return "whatever the node may come to do gives the same answer; what it never does may not";
}

function brokenText(differing: Row[], isNodes: boolean | undefined): string {
  const advice =
    isNodes === false
      ? "Nodes must not answer with this setting."
      : "Do not serve this model: verifiers would reject its answers. Test memory and GPU, set gpu_layers to 0, or take another model.";
  return `${counted(differing.length, "row")} not identical. ${advice}`;
}

/** Divergence that only long prompts show is what costs stake. */
const longEnough = 150;

function noticesOf({ prompts, skipped, rows }: Measurement): string[] {
  const longest = Math.max(0, ...prompts.map(({ promptTokens }) => promptTokens));
  const isShort = prompts.length > 0 && longest <= longEnough;
  return [
    ...(skipped.length > 0 ? [`does not fit into the model's context: ${skipped.join(", ")}`] : []),
    ...(isShort
      ? [`no prompt of text had more than ${longEnough} tokens, and divergence often shows in longer ones only`]
      : []),
    ...(rows.some(({ divergence, isNodes }) => isNodes && divergence?.kind === "numbers")
      ? ["equal tokens from different numbers are luck: another prompt will part them"]
      : []),
  ];
}
