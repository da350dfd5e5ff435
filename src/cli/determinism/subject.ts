import type { Config } from "../../config/load.ts";
import type { ModelConfig } from "../../config/schema.ts";
import { type Lab, type LabSetting, nodeSetting, openLab } from "../../inference/determinism/lab.ts";
import { llamaBackendNames, sequencesOnGpu } from "../../inference/llama/backend.ts";
import { usableCores } from "../../inference/llama/threads.ts";
import { BlfError, exitCodes } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { localModels } from "../../node/models.ts";
import { chooseModel, openInference } from "../models/test.ts";
import type { Session } from "../session.ts";
import type { Overrides } from "./options.ts";

/** The model that is tested, and what runs it. */
export type Subject = {
  modelId: string;
  backend: string;
  /** Of a model of llama.cpp; undefined for other backends. */
  local: ModelConfig | undefined;
  /** What the node's answers of this model carry; empty where only an answer tells. */
  determinismClass: string;
};

export type SubjectOptions = { model?: string | undefined; backend?: string | undefined };

/** Finds the model and, with llama.cpp, loads it once as the node does. @throws BlfError `MODEL_*`, `BACKEND_UNKNOWN`, `ENGINE_*` */
export async function findSubject(session: Session, options: SubjectOptions, signal: AbortSignal): Promise<Subject> {
  const inference = await openInference(session);
  try {
    const modelId = chooseModel(inference, options.model, options.backend);
    const backend = inference.backendOf(modelId).name;
    const isLlama = Object.values<string>(llamaBackendNames).includes(backend);
    const local = isLlama ? localModels(session.config)[modelId] : undefined;
    if (local) await inference.warm(modelId, signal);
    return { modelId, backend, local, determinismClass: inference.determinismClass(modelId) ?? "" };
  } finally {
    await inference.close();
  }
}

/** How the node is configured, and what is measured in its place. */
export type Settings = { node: LabSetting; used: LabSetting; cores: number; isNodes: boolean };

/** @throws BlfError `THREADS_TOO_MANY` (usage) */
export function settingsOf(config: Config, overrides: Overrides): Settings {
  const cores = usableCores();
  const configured = config.engine.threads > 0 ? config.engine.threads : Math.max(1, cores - 1);
  const node = nodeSetting(Math.min(configured, cores));
  const { cpu, ...changed } = overrides;
  const used = { ...node, ...changed };
  if (used.threads > cores)
    throw new BlfError({
      code: "THREADS_TOO_MANY",
      message: `This process may use ${cores} ${cores === 1 ? "core" : "cores"}`,
      hint: "Ask for no more threads than that: llama.cpp's threads wait for each other in a loop.",
      exitCode: exitCodes.usage,
    });
  const isNodes = cpu === undefined && used.batchSize === node.batchSize && used.flashAttention === node.flashAttention;
  return { node, used, cores, isNodes };
}

/** Loads the model into this process. @throws BlfError `MODEL_*`, `ENGINE_*`, `CPU_VARIANT_UNKNOWN` */
export function openLabOf(
  { engine }: Config,
  local: ModelConfig,
  { cpu, cores, log, signal }: { cpu?: string | undefined; cores: number; log: Logger; signal: AbortSignal },
): Promise<Lab> {
  const { path, context_size: contextSize, gpu_layers: gpuLayers } = local;
  // Only layers that are fitted to a GPU depend on it, and a node with such a model has this many by default.
  const sequences = engine.sequences || sequencesOnGpu;
  return openLab({ path, contextSize, gpuLayers: gpuLayers ?? 0, sequences, threads: cores, cpu, log, signal });
}

/** The node's class with what the lab computes with in place of the node's device, batch and flash attention. */
export function classOf(nodeClass: string, lab: Lab, { batchSize, flashAttention }: LabSetting): string {
  return nodeClass
    .split("/")
    .map((part) => {
      if (/^[cg]pu:/.test(part)) return lab.device;
      if (/^b\d+$/.test(part)) return `b${batchSize}`;
      return /^(no-)?fa$/.test(part) ? (flashAttention ? "fa" : "no-fa") : part;
    })
    .join("/");
}
