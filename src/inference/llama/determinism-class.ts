import { createHash } from "node:crypto";

/** How a prompt becomes what the model reads, and where its answer ends. */
export type PromptForm = {
  /** Text of the GGUF's chat template; absent when the model reads the prompt as it is. */
  chatTemplate?: string | undefined;
  system?: string | undefined;
  stop?: readonly string[] | undefined;
};

/** Everything that decides what a model says to a prompt. How many sequences run side by side does not: it is made not to. */
export type DeterminismInputs = PromptForm & {
  /** SHA-256 of the GGUF, hex. */
  ggufSha256: string;
  /** Release of llama.cpp. */
  release: string;
  /** `cpu:<variant>@<platform>` or `gpu:<name>`. */
  device: string;
  /** Tokens. */
  contextSize: number;
  batchSize: number;
  flashAttention: boolean;
  kvType: "f16";
  maxTokens: number;
};

/**
 * The determinism class as operators read it: nodes with an equal class give an equal text to an equal prompt.
 * `gguf:0123456789ab/llama.cpp:v0.4.0/cpu:haswell@linux-x64/ctx2048/b32/no-fa/kv-f16/greedy/max512/raw`
 * Instead of `raw` it ends with `chat:01234567`, the hash of a template, and `system:` and `stop:` with theirs where there are some.
 */
export function determinismClass(inputs: DeterminismInputs): string {
  const { chatTemplate, system, stop = [] } = inputs;
  return [
    `gguf:${inputs.ggufSha256.slice(0, 12)}`,
    `llama.cpp:${inputs.release}`,
    inputs.device,
    `ctx${inputs.contextSize}`,
    `b${inputs.batchSize}`,
    inputs.flashAttention ? "fa" : "no-fa",
    `kv-${inputs.kvType}`,
    "greedy",
    `max${inputs.maxTokens}`,
    chatTemplate === undefined ? "raw" : `chat:${short(chatTemplate)}`,
    ...(system ? [`system:${short(system)}`] : []),
    ...(stop.length > 0 ? [`stop:${short(JSON.stringify(stop.toSorted()))}`] : []),
  ].join("/");
}

/** SHA-256 of a class, hex: for places that have no room for the class itself. */
export function determinismClassHash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

export type ReportedClass = { determinismClass: string | null; determinismClassHash: string | null };

/** A class with its hash beside it, as reports show it; both null while it is unknown. */
export function reportedClass(text: string | null | undefined): ReportedClass {
  if (text === null || text === undefined) return { determinismClass: null, determinismClassHash: null };
  return { determinismClass: text, determinismClassHash: determinismClassHash(text) };
}

function short(text: string): string {
  return determinismClassHash(text).slice(0, 8);
}
