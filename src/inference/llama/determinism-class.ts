import { createHash } from "node:crypto";

/** Everything that decides what a model says to a prompt. */
export type DeterminismInputs = {
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
  template: "raw";
  /** Generations side by side. With more than one, 16-bit models round differently depending on what runs beside them. */
  sequences: number;
};

/**
 * The determinism class as operators read it: nodes with an equal class give an equal text to an equal prompt.
 * `gguf:0123456789ab/llama.cpp:v0.4.0/cpu:haswell@linux-x64/ctx2048/b32/no-fa/kv-f16/greedy/max512/raw`
 */
export function determinismClass(inputs: DeterminismInputs): string {
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
    inputs.template,
    ...(inputs.sequences > 1 ? [`seq${inputs.sequences}`] : []),
  ].join("/");
}

/** SHA-256 of a class, hex: for places that have no room for the class itself. */
export function determinismClassHash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
