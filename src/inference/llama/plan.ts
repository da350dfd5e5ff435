import { statSync } from "node:fs";
import { BlfError } from "../../lib/errors.ts";
import { checkArchitecture } from "./architectures.ts";
import { chatTemplateOf } from "./chat.ts";
import type { EngineModel } from "./engine.ts";
import { batchSize } from "./generate.ts";
import { type GgufHeader, readGgufFile } from "./gguf.ts";
import { modelSha256 } from "./hash.ts";
import { checkMemory, divideMemory, estimateMemory, layersOf, type MemoryNeed } from "./memory.ts";

/** `gpuLayers` that means: as many as fit. */
export const autoGpuLayers = -1;

/** What is known of a model before anything of it is loaded. */
export type ModelPlan = {
  header: GgufHeader;
  /** Tokens of one sequence. */
  contextSize: number;
  ggufSha256: string;
  chatTemplate?: string | undefined;
  need: MemoryNeed;
};

export type PlanOptions = {
  wanted: EngineModel;
  sequences: number;
  /** Bytes of the computer's memory that this model may take. */
  availableMemory: number;
  signal: AbortSignal;
};

export const defaultContextSize = 4096;

/**
 * Reads what a model is and refuses what cannot work, so that a model that works need not be given up for it.
 * @throws BlfError `MODEL_*`; the signal's reason when aborted.
 */
export async function planModel({ wanted, sequences, availableMemory, signal }: PlanOptions): Promise<ModelPlan> {
  const header = readGgufFile(wanted.path);
  checkArchitecture(header.architecture);
  const contextSize = wanted.contextSize ?? Math.min(defaultContextSize, header.contextLength);
  if (contextSize > header.contextLength) throw contextTooLarge(contextSize, header.contextLength);
  const chatTemplate = wanted.template === "chat" ? chatTemplateOf(header) : undefined;
  if (wanted.system && chatTemplate === undefined) throw systemNeedsChat();
  const fileSize = statSync(wanted.path).size;
  const need = estimateMemory({ header, fileSize, contextSize, sequences, batchSize });
  // How much of it a GPU takes off is known to its driver alone; the library then asks it.
  const share = wanted.gpuLayers === autoGpuLayers ? 1 : gpuShare(header, wanted.gpuLayers);
  checkMemory(divideMemory(need, share).ram, availableMemory, "memory");
  const ggufSha256 = await modelSha256(wanted.path, { signal });
  if (wanted.sha256 !== undefined && wanted.sha256 !== ggufSha256) throw hashMismatch(wanted, ggufSha256);
  return { header, contextSize, ggufSha256, chatTemplate, need };
}

/** The part of a model that so many layers are, from 0 to 1. */
export function gpuShare(header: GgufHeader, gpuLayers: number): number {
  return Math.min(1, gpuLayers / (layersOf(header) + 1));
}

function contextTooLarge(wanted: number, largest: number): BlfError {
  return new BlfError({
    code: "MODEL_CONTEXT_TOO_LARGE",
    message: `A context of ${wanted} tokens was asked for, but the model was trained for ${largest}`,
    hint: `Set context_size to ${largest} or less.`,
  });
}

function systemNeedsChat(): BlfError {
  return new BlfError({
    code: "MODEL_SYSTEM_NEEDS_CHAT",
    message: "The model has a system text, but reads prompts as they are",
    hint: "Set template to chat for this model, or remove its system text.",
  });
}

function hashMismatch({ modelId, path, sha256 = "" }: EngineModel, found: string): BlfError {
  return new BlfError({
    code: "MODEL_HASH_MISMATCH",
    message: `The file of ${modelId} has the SHA-256 ${found.slice(0, 12)}…, but ${sha256.slice(0, 12)}… is configured`,
    hint: `Download ${path} again, or record its new hash with \`blindference models add ${modelId}=${path}\`.`,
  });
}
