import type { LlamaModel, Token } from "node-llama-cpp";
import { BlfError } from "../../lib/errors.ts";
import type { GgufHeader } from "./gguf.ts";

export type ChatRequest = {
  /** Text of the GGUF's template. */
  template: string;
  system?: string | undefined;
};

/** What a template makes of a conversation of one message: its own text, and where the operator's and the user's stand. */
export type ChatPart = { from: "template"; text: string } | { from: "system" | "user" };

/** A rendered template with the operator's text for it. */
export type Chat = { parts: ChatPart[]; system: string };

/**
 * The chat template that a GGUF brings.
 * @throws BlfError `MODEL_NO_TEMPLATE`
 */
export function chatTemplateOf({ metadata }: GgufHeader): string {
  const template = metadata.get("tokenizer.chat_template");
  if (typeof template === "string" && template.trim() !== "") return template;
  throw new BlfError({
    code: "MODEL_NO_TEMPLATE",
    message: "The model has no chat template, so it cannot be used with template: chat",
    hint: "Set template to raw for this model, or take a GGUF of a model that was made for chats.",
  });
}

/**
 * Renders the template once, with marks in the place of the texts: so nothing that a user writes can act on the template, or become
 * one of its control tokens.
 * @throws BlfError `MODEL_TEMPLATE_FAILED`
 */
export async function renderChat(model: LlamaModel, { template, system }: ChatRequest): Promise<ChatPart[]> {
  const { Template } = await import("@huggingface/jinja");
  const marks = { system: freeMark("system", template), user: freeMark("user", template) };
  const messages = [
    ...(system ? [{ role: "system", content: marks.system }] : []),
    { role: "user", content: marks.user },
  ];
  let text: string;
  try {
    text = new Template(withoutClock + template).render({
      messages,
      add_generation_prompt: true,
      bos_token: model.tokens.bosString ?? "",
      eos_token: model.tokens.eosString ?? "",
    });
  } catch (error) {
    throw templateFailed("it does not render", system, error);
  }
  const parts = partsOf(text, marks);
  for (const from of ["user", ...(system ? ["system"] : [])])
    if (parts.filter((part) => part.from === from).length !== 1)
      throw templateFailed(`it does not show the ${from}'s text once`, system);
  return parts;
}

/** The tokens of a conversation. Only the template's own text is searched for control tokens. */
export async function chatTokens(
  model: LlamaModel,
  parts: ChatPart[],
  texts: { system: string; user: string },
): Promise<Token[]> {
  const { LlamaText, SpecialTokensText } = await import("node-llama-cpp");
  const values = parts.map((part) => (part.from === "template" ? new SpecialTokensText(part.text) : texts[part.from]));
  return LlamaText(values).tokenize(model.tokenizer);
}

/** Some templates write today's date when they can ask for it. Then no two days, and no two nodes at midnight, would agree. */
const withoutClock = "{%- set strftime_now = there_is_no_clock -%}";

/** A word that the template does not contain. */
function freeMark(name: string, template: string): string {
  let mark = `blindference${name}text`;
  while (template.includes(mark)) mark += "x";
  return mark;
}

function partsOf(text: string, marks: { system: string; user: string }): ChatPart[] {
  return text
    .split(new RegExp(`(${marks.system}|${marks.user})`))
    .filter((piece) => piece !== "")
    .map((piece) => {
      if (piece === marks.user) return { from: "user" };
      return piece === marks.system ? { from: "system" } : { from: "template", text: piece };
    });
}

function templateFailed(why: string, system: string | undefined, cause?: unknown): BlfError {
  return new BlfError({
    code: "MODEL_TEMPLATE_FAILED",
    message: `The model's chat template cannot be used: ${why}`,
    hint: system
      ? "Some models know no system text: remove `system`, or set template to raw."
      : "Set template to raw for this model, or take a GGUF with another template.",
    cause,
  });
}
