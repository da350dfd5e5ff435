import * as z from "zod/mini";
import { parseAnswer } from "./http/answer.ts";
import {
  type Cloud,
  type CloudAnswer,
  type CloudOptions,
  cloudTokens,
  createCloudBackend,
} from "./http/cloud-backend.ts";
import {
  blockedAnswer,
  emptyAnswer,
  incompleteAnswer,
  modelMismatch,
  modelUnknown,
  truncatedAnswer,
  unexpectedAnswer,
} from "./http/errors.ts";
import type { ProbedBackend } from "./http/probed-backend.ts";
import { placeholderKey, throughSdk } from "./http/sdk.ts";
import { keyHeader, type Service } from "./http/service.ts";

/** The network's words (PROTOCOL.md 2.8): nodes that send others get other texts. */
const systemText = "You are a helpful assistant. Answer the user's question directly and accurately. Be concise.";

const listSchema = z.object({ data: z.array(z.object({ id: z.string() })) });

const count = z.int().check(z.nonnegative());
const answerSchema = z.object({
  model: z.string(),
  choices: z.array(
    z.object({ message: z.object({ content: z.nullish(z.string()) }), finish_reason: z.nullish(z.string()) }),
  ),
  usage: z.nullish(z.object({ prompt_tokens: count, completion_tokens: count })),
});

/** Models at Groq, as every node of the network asks for them (PROTOCOL.md 2.8). Their ids begin with `groq:`. */
export function createGroqBackend(options: CloudOptions): ProbedBackend {
  const service: Service = {
    prefix: "GROQ",
    name: "Groq",
    baseUrl: options.baseUrl,
    keyVariable: "GROQ_API_KEY",
    urlKey: "groq.base_url",
    authorization: keyHeader(options.apiKey, (key) => ({ authorization: `Bearer ${key}` })),
  };
  return createCloudBackend(service, groq(service), options);
}

function groq(service: Service): Cloud {
  return {
    name: "groq",
    settings: "temperature0/seed42",
    look: async (caller, model, signal) => {
      const text = await caller.call({ path: "/openai/v1/models", timeoutMs: 10_000, signal });
      const { data } = parseAnswer(service, listSchema, JSON.parse(text));
      if (!data.some(({ id }) => id === model)) throw modelUnknown(service, model);
    },
    ask: async ({ caller, model, prompt, timeoutMs, signal }) => {
      const { Groq } = await import("groq-sdk");
      const send = (path: string, body: string) => caller.call({ path, body, model, timeoutMs, signal });
      const answer = await throughSdk(service, send, (fetch) => {
        // What the library would take from the environment, or print, is set here.
        const client = new Groq({
          apiKey: placeholderKey,
          baseURL: service.baseUrl,
          maxRetries: 0,
          logLevel: "off",
          // Retries and waiting have bounds of their own below this.
          timeout: 2 ** 31 - 1,
          fetch,
        });
        return client.chat.completions.create({
          model,
          messages: [
            { role: "system", content: systemText },
            { role: "user", content: prompt },
          ],
          temperature: 0,
          max_completion_tokens: cloudTokens,
          seed: 42,
        });
      });
      return read(service, model, answer);
    },
  };
}

function read(service: Service, model: string, answer: unknown): CloudAnswer {
  const { model: answered, choices, usage } = parseAnswer(service, answerSchema, answer);
  if (answered !== model) throw modelMismatch(service, model);
  const [choice, ...others] = choices;
  if (!choice) throw emptyAnswer(service);
  if (others.length > 0) throw unexpectedAnswer(service, "more than one choice");
  const { finish_reason: reason, message } = choice;
  if (reason === "length") throw truncatedAnswer(service, cloudTokens);
  if (reason === "content_filter") throw blockedAnswer(service, reason);
  if (reason !== "stop") throw incompleteAnswer(service);
  if (!message.content) throw emptyAnswer(service);
  return {
    text: message.content,
    promptTokens: usage?.prompt_tokens ?? 0,
    outputTokens: usage?.completion_tokens ?? 0,
  };
}
