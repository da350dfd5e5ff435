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

const modelSchema = z.object({ name: z.string() });

const count = z.nullish(z.int().check(z.nonnegative()));
const answerSchema = z.object({
  candidates: z.nullish(
    z.array(
      z.object({
        content: z.nullish(z.object({ parts: z.nullish(z.array(z.object({ text: z.nullish(z.string()) }))) })),
        finishReason: z.nullish(z.string()),
      }),
    ),
  ),
  promptFeedback: z.nullish(z.object({ blockReason: z.nullish(z.string()) })),
  modelVersion: z.nullish(z.string()),
  usageMetadata: z.nullish(z.object({ promptTokenCount: count, candidatesTokenCount: count })),
});

/** Reasons for which Google withholds an answer; others are not repeated, since they come from outside. */
const withheld = ["SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY"];

/** Models of Google's, as every node of the network asks for them (PROTOCOL.md 2.8). Their ids begin with `gemini:`. */
export function createGeminiBackend(options: CloudOptions): ProbedBackend {
  const service: Service = {
    prefix: "GEMINI",
    name: "Gemini",
    baseUrl: options.baseUrl,
    keyVariable: "GOOGLE_API_KEY",
    urlKey: "gemini.base_url",
    // The original puts the key into the URL, where proxies log it.
    authorization: keyHeader(options.apiKey, (key) => ({ "x-goog-api-key": key })),
  };
  return createCloudBackend(service, gemini(service), options);
}

function gemini(service: Service): Cloud {
  return {
    name: "gemini",
    settings: "temperature0",
    look: async (caller, model, signal) => {
      const path = `/v1beta/models/${encodeURIComponent(model)}`;
      const text = await caller.call({ path, model, timeoutMs: 10_000, signal });
      const { name } = parseAnswer(service, modelSchema, JSON.parse(text));
      if (name !== `models/${model}`) throw modelUnknown(service, model);
    },
    ask: async ({ caller, model, prompt, timeoutMs, signal }) => {
      const { GoogleGenerativeAI } = await import("@google/generative-ai");
      const send = (path: string, body: string) => caller.call({ path, body, model, timeoutMs, signal });
      const answer = await throughSdk(service, send, async (fetch) => {
        const client = new GoogleGenerativeAI(placeholderKey);
        const generative = client.getGenerativeModel({ model }, { baseUrl: service.baseUrl });
        const request = {
          contents: [{ role: "user", parts: [{ text: prompt }] }],
          generationConfig: { temperature: 0, maxOutputTokens: cloudTokens },
          // The library adds an empty list, which other nodes do not send.
          ...({ safetySettings: undefined } as object),
        };
        return (await withFetch(fetch, () => generative.generateContent(request))).response;
      });
      return read(service, model, answer);
    },
  };
}

/**
 * The library knows only the global `fetch`, which follows redirects and takes the key's header along. It looks it up before its first
 * pause: so the global is another one for that moment, in which no other code runs. Were that not so, the request would carry a key that
 * is none.
 */
function withFetch<T>(
  fetch: (url: string, init?: RequestInit) => Promise<Response>,
  start: () => Promise<T>,
): Promise<T> {
  const original = globalThis.fetch;
  globalThis.fetch = fetch as typeof globalThis.fetch;
  try {
    return start();
  } finally {
    globalThis.fetch = original;
  }
}

function read(service: Service, model: string, answer: unknown): CloudAnswer {
  const { candidates, promptFeedback, modelVersion, usageMetadata } = parseAnswer(service, answerSchema, answer);
  if (promptFeedback?.blockReason) throw blockedAnswer(service, reasonOf(promptFeedback.blockReason));
  if (modelVersion && !modelVersion.startsWith(model)) throw modelMismatch(service, model);
  const [candidate, ...others] = candidates ?? [];
  if (!candidate) throw emptyAnswer(service);
  if (others.length > 0) throw unexpectedAnswer(service, "more than one candidate");
  const { finishReason, content } = candidate;
  if (finishReason === "MAX_TOKENS") throw truncatedAnswer(service, cloudTokens);
  if (finishReason && withheld.includes(finishReason)) throw blockedAnswer(service, finishReason);
  if (finishReason !== "STOP") throw incompleteAnswer(service);
  const [part, ...rest] = content?.parts ?? [];
  // Other nodes of the network read the first part only: of several, nobody would agree on the text.
  if (rest.length > 0) throw unexpectedAnswer(service, "more than one part");
  if (!part?.text) throw emptyAnswer(service);
  return {
    text: part.text,
    promptTokens: usageMetadata?.promptTokenCount ?? 0,
    outputTokens: usageMetadata?.candidatesTokenCount ?? 0,
  };
}

function reasonOf(reason: string): string {
  return withheld.includes(reason) ? reason : "OTHER";
}
