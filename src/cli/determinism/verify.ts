import { type Lab, nodeSetting } from "../../inference/determinism/lab.ts";
import { type Chat, chatTemplateOf, renderChat } from "../../inference/llama/chat.ts";
import { determinismClassHash } from "../../inference/llama/determinism-class.ts";
import { readGgufFile } from "../../inference/llama/gguf.ts";
import { type Departure, verifyTranscript } from "../../inference/llama/transcript.ts";
import { openInference } from "../models/test.ts";
import type { Session } from "../session.ts";
import { stderrLogger } from "../ui/io.ts";
import type { VerifiedOutput } from "../verify-output.ts";
import { findSubject, openLabOf, type Subject, settingsOf } from "./subject.ts";

export type VerifyParameters = {
  session: Session;
  model?: string | undefined;
  backend?: string | undefined;
  prompt: string;
  output: string;
  /** Decodes even where one pass was enough. */
  decode: boolean;
  signal: AbortSignal;
};

type Local = NonNullable<Subject["local"]>;

/** @throws BlfError `MODEL_*`, `BACKEND_UNKNOWN`, `ENGINE_*`; the signal's reason when aborted */
export async function verifyOutput(parameters: VerifyParameters): Promise<VerifiedOutput> {
  const { session, model, backend, signal } = parameters;
  const subject = await findSubject(session, { model, backend }, signal);
  const found = subject.local ? await byPass(parameters, subject.local) : await byAsking(parameters, subject.modelId);
  const { prefillMs, decodingMs, agrees, doubt } = found;
  const bothDone = agrees && doubt === null && prefillMs !== null && decodingMs !== null && prefillMs > 0;
  const determinismClass = found.determinismClass ?? subject.determinismClass;
  return {
    agrees,
    model: subject.modelId,
    backend: subject.backend,
    determinismClass,
    determinismClassHash: determinismClassHash(determinismClass),
    method: found.method,
    doubt,
    promptTokens: found.promptTokens,
    outputTokens: found.outputTokens,
    prefillMs,
    decodingMs,
    speedup: bothDone ? Math.round((decodingMs / prefillMs) * 10) / 10 : null,
    departure: found.departure,
  };
}

async function byPass({ session, prompt, output, decode, signal }: VerifyParameters, local: Local) {
  const { config } = session;
  const { node, cores } = settingsOf(config, {});
  const log = stderrLogger(config.log_level === "info" ? "warn" : config.log_level, config.log_format);
  const lab = await openLabOf(config, local, { cores, log, signal });
  try {
    const context = await lab.createContext(nodeSetting(node.threads));
    const { model, contextSize } = lab;
    const chat = await chatOf(lab, local);
    const { max_tokens: maxTokens, stop } = local;
    const request = { model, context, contextSize, maxTokens, prompt, output, chat, stop, signal };
    return { ...(await verifyTranscript(request, { alwaysDecode: decode })), determinismClass: undefined };
  } finally {
    await lab.close();
  }
}

async function chatOf(lab: Lab, local: Local): Promise<Chat | undefined> {
  if (local.template !== "chat") return undefined;
  const system = local.system ?? "";
  const template = chatTemplateOf(readGgufFile(local.path));
  return { parts: await renderChat(lab.model, { template, system }), system };
}

const shown = 60;

/** A backend that gives text only is asked again. */
async function byAsking({ session, prompt, output, signal }: VerifyParameters, modelId: string) {
  const inference = await openInference(session);
  try {
    const answer = await inference.generate({ modelId, prompt }, { signal });
    const { text, promptTokens, outputTokens, ms: decodingMs, determinismClass } = answer;
    let character = 0;
    while (character < Math.min(text.length, output.length) && text[character] === output[character]) character++;
    const part = (whole: string) => whole.slice(character, character + shown);
    const departure: Departure | null =
      text === output ? null : { character, token: 0, claimed: part(output), model: part(text) };
    return {
      agrees: departure === null,
      method: "decoding" as const,
      doubt: "no pass" as const,
      promptTokens,
      outputTokens,
      prefillMs: null,
      decodingMs,
      departure,
      determinismClass,
    };
  } finally {
    await inference.close();
  }
}
