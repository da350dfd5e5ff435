import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "../../lib/log.ts";
import { chatTemplateOf } from "./chat.ts";
import { determinismClass } from "./determinism-class.ts";
import { flashAttention } from "./engine.ts";
import { batchSize } from "./generate.ts";
import { readGgufFile } from "./gguf.ts";
import { knownSha256 } from "./hash.ts";
import { ensureNativeLibraries } from "./native.ts";
import { hostTarget } from "./platform.ts";

export type ExpectedClassOptions = {
  path: string;
  contextSize: number;
  maxTokens: number;
  gpuLayers: number;
  template?: "raw" | "chat" | undefined;
  system?: string | undefined;
  stop?: readonly string[] | undefined;
  log: Logger;
};

/**
 * The determinism class that a model will have, without loading it: for models on the CPU whose file was hashed before and has not
 * changed. Undefined otherwise, since a GPU's name is known only to its driver and gigabytes are not hashed in passing.
 * @throws BlfError `MODEL_*` when the file is not what its configuration needs
 */
export async function expectedClass(options: ExpectedClassOptions): Promise<string | undefined> {
  const { path, contextSize, maxTokens, gpuLayers, template, system, stop, log } = options;
  if (gpuLayers !== 0) return undefined;
  const ggufSha256 = await knownSha256(path);
  if (ggufSha256 === undefined) return undefined;
  const { directory, variant } = await ensureNativeLibraries({ log });
  const metadata = JSON.parse(readFileSync(join(directory, "_nlcBuildMetadata.json"), "utf8")) as {
    buildOptions: { llamaCpp: { release: string } };
  };
  return determinismClass({
    ggufSha256,
    release: metadata.buildOptions.llamaCpp.release,
    device: `cpu:${variant}@${hostTarget()}`,
    contextSize,
    batchSize,
    flashAttention,
    kvType: "f16",
    maxTokens,
    chatTemplate: template === "chat" ? chatTemplateOf(readGgufFile(path)) : undefined,
    system,
    stop,
  });
}
