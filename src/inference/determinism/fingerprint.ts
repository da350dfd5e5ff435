import { createHash } from "node:crypto";
import type { Token } from "node-llama-cpp";
import * as z from "zod/mini";
import { BlfError } from "../../lib/errors.ts";
import { determinismClassHash } from "../llama/determinism-class.ts";
import { freshSequence } from "../llama/sequence.ts";
import { type Decoding, decode, partingOf } from "./decode.ts";
import type { Lab, LabSetting } from "./lab.ts";
import type { TokenPrompt } from "./token-prompts.ts";

const hash = z.string().check(z.regex(/^[0-9a-f]{64}$/));
const index = z.int().check(z.nonnegative());
const short = z.string().check(z.maxLength(200));

const tokenProof = z.strictObject({
  level: z.literal("tokens"),
  name: short,
  /** SHA-256 of the prompt's token ids. */
  promptSha256: hash,
  promptTokens: index,
  /** Length of the answer, and SHA-256 of its token ids. */
  outputTokens: index,
  tokensSha256: hash,
  /** Token ids the answer begins with. */
  firstTokens: z.array(index).check(z.maxLength(64)),
  /** SHA-256 of the probabilities of the whole vocabulary, as 32-bit floats, at some positions of the answer. */
  logits: z.array(z.strictObject({ position: index, sha256: hash })).check(z.maxLength(64)),
});

const textProof = z.strictObject({
  level: z.literal("text"),
  name: short,
  promptSha256: hash,
  textSha256: hash,
});

/** The file of `test-determinism --export`. Prompts and answers are in it as hashes only. */
export const fingerprintSchema = z.strictObject({
  format: z.literal("blindference-fingerprint"),
  version: z.literal(1),
  model: short,
  class: z.string().check(z.maxLength(2000)),
  classHash: hash,
  /** Of the GGUF; null for a backend without a file. */
  modelSha256: z.nullable(hash),
  /** What computed, as the determinism class names it; null where nobody knows. */
  device: z.nullable(short),
  /** Threads that computed it. For information: they must not matter. */
  threads: z.nullable(index),
  proofs: z.array(z.discriminatedUnion("level", [tokenProof, textProof])).check(z.minLength(1), z.maxLength(64)),
});

export type Fingerprint = z.infer<typeof fingerprintSchema>;
export type Proof = Fingerprint["proofs"][number];

/** Tokens of each answer in a fingerprint; the same for all, so that they can be compared. */
export const fingerprintTokens = 32;

export type ProofOptions = {
  /** Answers everything again in another fresh context, so that no fingerprint is handed out of a machine that wavers. */
  twice?: boolean;
};

/**
 * Answers each prompt in a fresh context and takes the fingerprint of the answers.
 * @throws BlfError `DETERMINISM_BROKEN` when a second answer differs; the signal's reason when aborted
 */
export async function proveTokens(
  lab: Lab,
  setting: LabSetting,
  prompts: TokenPrompt[],
  signal: AbortSignal,
  { twice = false }: ProofOptions = {},
): Promise<Proof[]> {
  const answers = await answersOf(lab, setting, prompts, signal);
  const again = twice ? await answersOf(lab, setting, prompts, signal) : answers;
  return prompts.map(({ name, tokens }, number): Proof => {
    const answer = answers[number]!;
    if (partingOf(answer, again[number]!)) throw unstable(name);
    return {
      level: "tokens",
      name,
      promptSha256: hashOfTokens(tokens),
      promptTokens: tokens.length,
      outputTokens: answer.tokens.length,
      tokensSha256: hashOfTokens(answer.tokens),
      firstTokens: answer.tokens.slice(0, 16),
      logits: [...answer.logits].map(([position, sha256]) => ({ position, sha256 })),
    };
  });
}

async function answersOf(lab: Lab, setting: LabSetting, prompts: TokenPrompt[], signal: AbortSignal) {
  const { model } = lab;
  const { batchSize } = setting;
  const context = await lab.createContext(setting);
  const answers: Decoding[] = [];
  try {
    for (const { tokens: prompt } of prompts) {
      const sequence = await freshSequence(context, signal);
      const parameters = { model, sequence, prompt, maxTokens: fingerprintTokens, batchSize, signal };
      answers.push(await decode(parameters, { hashLogits: true }));
      await sequence.dispose();
    }
  } finally {
    await context.dispose();
  }
  return answers;
}

export type FingerprintAbout = Pick<Fingerprint, "model" | "class" | "modelSha256" | "device" | "threads">;

export function createFingerprint(about: FingerprintAbout, proofs: Proof[]): Fingerprint {
  const { model, class: text, modelSha256, device, threads } = about;
  return {
    format: "blindference-fingerprint",
    version: 1,
    model,
    class: text,
    classHash: determinismClassHash(text),
    modelSha256,
    device,
    threads,
    proofs,
  };
}

/**
 * Reads a fingerprint.
 * @throws BlfError `FINGERPRINT_INVALID`
 */
export function parseFingerprint(text: string): Fingerprint {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid("it is not JSON", cause);
  }
  const { format, version } = (value ?? {}) as { format?: unknown; version?: unknown };
  if (format !== "blindference-fingerprint") throw invalid("it is something else");
  if (version !== 1) throw invalid("its version is not 1");
  const { success, data, error } = fingerprintSchema.safeParse(value);
  if (!success) throw invalid(`${error.issues[0]?.path.join(".") || "it"} is not as it must be`, error);
  if (determinismClassHash(data.class) !== data.classHash)
    throw invalid("its class and the hash of it do not belong together");
  return data;
}

function invalid(why: string, cause?: unknown): BlfError {
  return new BlfError({
    code: "FINGERPRINT_INVALID",
    message: `The file is no fingerprint that can be used: ${why}`,
    hint: "Write one with `blindference test-determinism --export fp.json`, with the same version of the program on both machines.",
    cause,
  });
}

function unstable(prompt: string): BlfError {
  return new BlfError({
    code: "DETERMINISM_BROKEN",
    message: `Two fresh contexts answer the prompt of ${prompt} differently, so there is nothing to take a fingerprint of`,
    hint: "Run `blindference test-determinism` to see where they part. Test memory and GPU, or set gpu_layers to 0.",
  });
}

export function hashOfTokens(tokens: readonly Token[]): string {
  return createHash("sha256").update(tokens.join(",")).digest("hex");
}

export function hashOfText(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
