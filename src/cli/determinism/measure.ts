import { runLabRows } from "../../inference/determinism/lab-rows.ts";
import { defaultPrompts } from "../../inference/determinism/prompts.ts";
import { type OnProgress, type Row, skippedRow } from "../../inference/determinism/row.ts";
import { runTextRows, type TestedPrompt } from "../../inference/determinism/text-rows.ts";
import { lengthPrompts, missingLengths } from "../../inference/determinism/token-prompts.ts";
import { openInference } from "../models/test.ts";
import type { Session } from "../session.ts";
import { stderrLogger } from "../ui/io.ts";
import type { Parsed } from "./options.ts";
import { classOf, openLabOf, type Settings, type Subject, settingsOf } from "./subject.ts";

/** All rows of one model. */
export type Measurement = {
  subject: Subject;
  determinismClass: string;
  settings: Settings | undefined;
  cpu: string | undefined;
  rows: Row[];
  prompts: TestedPrompt[];
  /** Prompts that do not fit into the context. */
  skipped: string[];
};

export type MeasureOptions = Parsed & {
  session: Session;
  subject: Subject;
  prompt?: string | undefined;
  signal: AbortSignal;
  onProgress: OnProgress;
};

/** @throws BlfError what the backend throws; the signal's reason when aborted */
export async function measure(options: MeasureOptions): Promise<Measurement> {
  const { subject } = options;
  if (!subject.local) {
    const { rows, prompts, skipped, determinismClass } = await textRows(options, options.runs);
    const below = skippedRow("tokens, KV cache, threads", "tokens", "only text comes from this backend");
    return { subject, determinismClass, settings: undefined, cpu: undefined, rows: [...rows, below], prompts, skipped };
  }
  const lab = await labRows(options, subject.local);
  const { cpu } = options.overrides;
  const shared = { subject, determinismClass: lab.determinismClass, settings: lab.settings, cpu };
  if (!lab.settings.isNodes) {
    const engine = skippedRow("the node's own engine", "text", "it computes with the node's own setting only");
    return { ...shared, rows: [...lab.rows, engine], prompts: [], skipped: lab.skipped };
  }
  const text = await textRows(options, 0);
  const named = text.rows.map((row) => ({ ...row, name: `engine: ${row.name}` }));
  return {
    ...shared,
    rows: [...lab.rows, ...named],
    prompts: text.prompts,
    skipped: [...lab.skipped, ...text.skipped],
  };
}

async function labRows(options: MeasureOptions, local: NonNullable<Subject["local"]>) {
  const { session, subject, runs, tokens, overrides, signal, onProgress } = options;
  const { log_level: level, log_format: format } = session.config;
  const settings = settingsOf(session.config, overrides);
  const { used, node, cores, isNodes } = settings;
  const log = stderrLogger(level === "info" ? "warn" : level, format);
  const lab = await openLabOf(session.config, local, { cpu: overrides.cpu, cores, log, signal });
  try {
    const prompts = lengthPrompts(lab.model, lab.contextSize, tokens);
    const { rows } = await runLabRows({
      lab,
      setting: used,
      node,
      prompts,
      runs,
      maxTokens: tokens,
      cores,
      joint: !isNodes,
      signal,
      onProgress,
    });
    const skipped = missingLengths(lab.contextSize, tokens);
    return { rows, settings, skipped, determinismClass: classOf(subject.determinismClass, lab, used) };
  } finally {
    await lab.close();
  }
}

/** Through the backend as the node has it, in a new process of its engine each time. */
async function textRows(
  { session, subject, prompt, runs, tokens, signal, onProgress }: MeasureOptions,
  repeats: number,
) {
  const { modelId, local } = subject;
  const { config } = session;
  const [short, ...long] = defaultPrompts;
  const models = local
    ? { ...config.models, [modelId]: { ...local, max_tokens: Math.min(tokens, local.max_tokens) } }
    : config.models;
  const engine = { ...config.engine, isolation: "process" as const };
  return runTextRows({
    open: () => openInference({ ...session, config: { ...config, models, engine } }),
    modelId,
    prompts: [prompt === undefined ? short! : { name: "yours", text: prompt, required: true }, ...long],
    runs: repeats,
    rounds: Math.min(10, Math.max(1, Math.floor(runs / 100))),
    signal,
    onProgress,
  });
}
