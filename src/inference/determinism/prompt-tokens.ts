import type { LlamaModel, Token } from "node-llama-cpp";
import { type ChatPart, chatTokens } from "../llama/chat.ts";
import { beginning } from "./lab.ts";

/** A chat template as the engine holds it. */
export type Chat = { parts: ChatPart[]; system: string };

/** What the engine gives the model for a prompt: raw or within its template, after the model's beginning of text. */
export async function promptTokens(model: LlamaModel, prompt: string, chat: Chat | undefined): Promise<Token[]> {
  const text = prompt.toWellFormed();
  const start = beginning(model);
  if (!chat) return [...start, ...model.tokenize(text, false)];
  const tokens = await chatTokens(model, chat.parts, { system: chat.system, user: text });
  return start.length > 0 && tokens[0] === start[0] ? tokens : [...start, ...tokens];
}
