import { readFileSync, statSync } from "node:fs";
import * as z from "zod/mini";
import { type Agreement, compareFingerprints } from "../../inference/determinism/compare-fingerprints.ts";
import {
  createFingerprint,
  type Fingerprint,
  fingerprintTokens,
  hashOfText,
  type Proof,
  parseFingerprint,
  proveTokens,
} from "../../inference/determinism/fingerprint.ts";
import { defaultPrompts } from "../../inference/determinism/prompts.ts";
import { lengthPrompts } from "../../inference/determinism/token-prompts.ts";
import { BlfError } from "../../lib/errors.ts";
import { fileError, writeFileAtomic } from "../../lib/files.ts";
import { openInference } from "../models/test.ts";
import type { Session } from "../session.ts";
import { print, printJson, printTable, stderrLogger } from "../ui/io.ts";
import type { Overrides } from "./options.ts";
import { classOf, openLabOf, type Subject, settingsOf } from "./subject.ts";

/** The document of `--export` and `--against`. */
export const fingerprintDocument = z.strictObject({
  /** False when the other fingerprint says otherwise. */
  ok: z.boolean(),
  model: z.string(),
  backend: z.string(),
  determinismClass: z.string(),
  determinismClassHash: z.string(),
  prompts: z.int(),
  /** The file that was written. */
  exported: z.nullable(z.string()),
  /** What the comparison found; null without `--against`. */
  agreement: z.nullable(
    z.strictObject({
      agrees: z.boolean(),
      answersEqual: z.boolean(),
      compared: z.int(),
      differences: z.array(
        z.strictObject({ kind: z.enum(["class", "prompt", "tokens", "logits", "text"]), detail: z.string() }),
      ),
    }),
  ),
});

export type FingerprintOptions = {
  session: Session;
  subject: Subject;
  overrides: Overrides;
  exportPath?: string | undefined;
  /** A fingerprint that was read before anything was computed. */
  against?: Fingerprint | undefined;
  json: boolean;
  signal: AbortSignal;
};

/** Takes this machine's fingerprint, writes it, compares it. @returns whether it agrees with the other one */
export async function runFingerprint(options: FingerprintOptions): Promise<boolean> {
  const { subject, exportPath, against, json } = options;
  const fingerprint = subject.local ? await ofTokens(options, subject.local) : await ofText(options);
  if (exportPath !== undefined) writeFileAtomic(exportPath, `${JSON.stringify(fingerprint, null, 2)}\n`, 0o644);
  const agreement = against ? compareFingerprints(against, fingerprint) : null;
  const ok = agreement?.agrees ?? true;
  if (json)
    printJson({
      ok,
      model: subject.modelId,
      backend: subject.backend,
      determinismClass: fingerprint.class,
      determinismClassHash: fingerprint.classHash,
      prompts: fingerprint.proofs.length,
      exported: exportPath ?? null,
      agreement,
    });
  else show(fingerprint, options, agreement);
  return ok;
}

async function ofTokens(
  { session, subject, overrides, exportPath, signal }: FingerprintOptions,
  local: NonNullable<Subject["local"]>,
): Promise<Fingerprint> {
  const { config } = session;
  const { used, cores } = settingsOf(config, overrides);
  const log = stderrLogger(config.log_level === "info" ? "warn" : config.log_level, config.log_format);
  const lab = await openLabOf(config, local, { cpu: overrides.cpu, cores, log, signal });
  try {
    const prompts = lengthPrompts(lab.model, lab.contextSize, fingerprintTokens);
    if (prompts.length === 0) throw contextTooSmall();
    const proofs = await proveTokens(lab, used, prompts, signal, { twice: exportPath !== undefined });
    const about = { modelSha256: lab.modelSha256, device: lab.device, threads: used.threads };
    const text = classOf(subject.determinismClass, lab, used);
    return createFingerprint({ model: subject.modelId, class: text, ...about }, proofs);
  } finally {
    await lab.close();
  }
}

/** Backends that give text only are compared by their text. */
async function ofText({ session, subject, signal }: FingerprintOptions): Promise<Fingerprint> {
  const { modelId } = subject;
  const inference = await openInference(session);
  try {
    const proofs: Proof[] = [];
    let determinismClass = "";
    for (const { name, text: prompt } of defaultPrompts) {
      const answer = await inference.generate({ modelId, prompt }, { signal });
      determinismClass = answer.determinismClass;
      proofs.push({ level: "text", name, promptSha256: hashOfText(prompt), textSha256: hashOfText(answer.text) });
    }
    const about = { modelSha256: null, device: null, threads: null };
    return createFingerprint({ model: modelId, class: determinismClass, ...about }, proofs);
  } finally {
    await inference.close();
  }
}

const largestFile = 1_000_000;

/** Reads the file of another machine. @throws BlfError `FILE_*`, `FINGERPRINT_INVALID` */
export function readFingerprint(path: string): Fingerprint {
  let text: string;
  try {
    if (statSync(path).size > largestFile) throw new RangeError("too large");
    text = readFileSync(path, "utf8");
  } catch (error) {
    // What is too large is no fingerprint, and is not read to find out.
    if (error instanceof RangeError) return parseFingerprint("");
    throw fileError("read", path, error);
  }
  return parseFingerprint(text);
}

function show(
  fingerprint: Fingerprint,
  { subject, exportPath }: FingerprintOptions,
  agreement: Agreement | null,
): void {
  printTable([
    ["model", `${subject.modelId} by ${subject.backend}`],
    ["class", fingerprint.class],
    ["class hash", fingerprint.classHash],
    ["prompts", String(fingerprint.proofs.length)],
    ...(exportPath === undefined ? [] : [["written", exportPath] as [string, string]]),
  ]);
  if (!agreement) return;
  print("");
  const { agrees, answersEqual, compared, differences } = agreement;
  const found = answersEqual
    ? "What both computed is equal, yet not in all of these: do not count on it"
    : "This machine would not agree with that one";
  printTable([
    ["result", agrees ? `this machine agrees with that one, in all ${compared} prompts to the last bit` : found],
    ...differences.map(({ kind, detail }): [string, string] => [kind, detail]),
  ]);
}

function contextTooSmall(): BlfError {
  return new BlfError({
    code: "FINGERPRINT_CONTEXT_TOO_SMALL",
    message: "The model's context is too small for the shortest prompt of a fingerprint",
    hint: `Set a context_size of ${31 + fingerprintTokens} tokens or more.`,
  });
}
