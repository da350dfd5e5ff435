import * as z from "zod/mini";
import type { Generation } from "../backend.ts";
import { parseAnswer } from "../http/answer.ts";
import type { Caller } from "../http/caller.ts";
import { emptyAnswer, incompleteAnswer, modelMismatch, unexpectedAnswer } from "../http/errors.ts";
import type { Service } from "../http/service.ts";

export type CompletionRequest = {
  /** The model's name on the server. */
  name: string;
  prompt: string;
  maxTokens: number;
  sendTopK: boolean;
  timeoutMs: number;
};

export type Completion = Pick<Generation, "text" | "promptTokens" | "outputTokens" | "finishReason">;

const count = z.int().check(z.nonnegative());

const schema = z.object({
  model: z.string(),
  choices: z.array(z.object({ text: z.string(), finish_reason: z.nullish(z.string()) })),
  usage: z.nullish(z.object({ prompt_tokens: z.nullish(count), completion_tokens: z.nullish(count) })),
});

const finishReasons: Record<string, Completion["finishReason"]> = { stop: "stop", eos_token: "stop", length: "length" };

/**
 * Continues a raw prompt greedily on a server with OpenAI's completions (PROTOCOL.md 2.8). The answer comes in one piece: a stream that
 * breaks off looks finished on some servers, and what is shown to people should be what a job would get.
 * @throws BlfError `VLLM_*`, `MODEL_PROMPT_TOO_LONG`; the signal's reason when aborted
 */
export async function complete(
  service: Service,
  caller: Caller,
  request: CompletionRequest,
  signal: AbortSignal,
): Promise<Completion> {
  const { name, prompt, maxTokens, sendTopK, timeoutMs } = request;
  const body = {
    model: name,
    prompt,
    max_tokens: maxTokens,
    temperature: 0,
    top_p: 1,
    ...(sendTopK ? { top_k: -1 } : {}),
    seed: 42,
  };
  const path = "/v1/completions";
  const text = await caller.call({ path, body: JSON.stringify(body), model: name, timeoutMs, signal });
  const { model, choices, usage } = parseAnswer(service, schema, JSON.parse(text));
  if (model !== name) throw modelMismatch(service, name);
  const [choice, ...others] = choices;
  if (!choice) throw emptyAnswer(service);
  if (others.length > 0) throw unexpectedAnswer(service, "more than one choice");
  const finishReason = finishReasons[choice.finish_reason ?? ""];
  if (finishReason === undefined) throw incompleteAnswer(service);
  return {
    text: choice.text,
    promptTokens: usage?.prompt_tokens ?? 0,
    outputTokens: usage?.completion_tokens ?? 0,
    finishReason,
  };
}
