import type { LlamaContext, LlamaModel } from "node-llama-cpp";
import { BlfError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { type Chat, renderChat } from "./chat.ts";
import { determinismClass } from "./determinism-class.ts";
import { oneSequencePerStep } from "./dispatch.ts";
import type { EngineModel } from "./engine.ts";
import { batchSize } from "./generate.ts";
import type { LlamaLibrary } from "./library.ts";
import { checkMemory, divideMemory } from "./memory.ts";
import { autoGpuLayers, gpuShare, type ModelPlan } from "./plan.ts";
import { rehearse } from "./rehearsal.ts";

/**
 * Off, though llama.cpp would choose it: from 256 tokens of context on, its flash attention divides a token's work by the number of
 * threads and adds the parts, so that nodes with two and with three threads would answer differently. Without it they do not.
 */
export const flashAttention = false;

const contextStep = 256;

/** llama.cpp rounds contexts up like this; done here, a sequence gets the same context however many there are. */
export function allocatedContext(contextSize: number): number {
  return Math.ceil(contextSize / contextStep) * contextStep;
}

export type LoadParameters = {
  library: LlamaLibrary;
  wanted: EngineModel;
  plan: ModelPlan;
  threads: number;
  sequences: number;
  log: Logger;
  signal: AbortSignal;
};

export type ModelInMemory = {
  model: LlamaModel;
  context: LlamaContext;
  contextSize: number;
  chat: Chat | undefined;
  determinismClass: string;
};

/**
 * Loads a model, makes a context for it, and sees that it computes.
 * @throws BlfError `MODEL_TOO_LARGE`, `MODEL_LOAD_FAILED`, `MODEL_TEMPLATE_FAILED`; the signal's reason when aborted.
 */
export async function loadModel(parameters: LoadParameters): Promise<ModelInMemory> {
  const { library, wanted, plan, sequences, log, signal } = parameters;
  const { contextSize, chatTemplate } = plan;
  if (library.llama.gpu !== false) await checkGpuMemory(parameters);
  let model: LlamaModel | undefined;
  try {
    model = await library.llama.loadModel({
      modelPath: wanted.path,
      gpuLayers: layersFor(library, { gpuLayers: wanted.gpuLayers, contextSize, sequences }),
      loadSignal: signal,
    });
    const system = wanted.system ?? "";
    const chat =
      chatTemplate === undefined
        ? undefined
        : { parts: await renderChat(model, { template: chatTemplate, system }), system };
    const context = await model.createContext({
      contextSize: allocatedContext(contextSize),
      batchSize,
      flashAttention,
      sequences,
      threads: parameters.threads,
      batching: { itemPrioritizationStrategy: oneSequencePerStep },
      // A context that was silently made smaller would answer differently from the others.
      failedCreationRemedy: false,
      createSignal: signal,
    });
    await rehearse(model, context, signal);
    if (wanted.gpuLayers !== 0) log.info("layers are on the GPU", { model: wanted.modelId, count: model.gpuLayers });
    const text = determinismClass({
      ggufSha256: plan.ggufSha256,
      release: library.release,
      device: deviceOf(library, model),
      contextSize,
      batchSize,
      flashAttention,
      kvType: "f16",
      maxTokens: wanted.maxTokens,
      chatTemplate,
      system: wanted.system,
      stop: wanted.stop,
    });
    return { model, context, contextSize, chat, determinismClass: text };
  } catch (error) {
    await model?.dispose();
    signal.throwIfAborted();
    throw loadFailed(error);
  }
}

async function checkGpuMemory({ library, wanted, plan }: LoadParameters): Promise<void> {
  if (wanted.gpuLayers === autoGpuLayers || wanted.gpuLayers === 0) return;
  const { free } = await library.llama.getVramState();
  checkMemory(divideMemory(plan.need, gpuShare(plan.header, wanted.gpuLayers)).vram, free, "GPU memory");
}

export type LayersWanted = {
  gpuLayers: number;
  /** Tokens of one sequence. */
  contextSize: number;
  sequences: number;
};

/**
 * The layers for the GPU, as the library takes them. How many of them fit is part of the determinism class, so whatever loads a model asks
 * here. `auto` without a GPU is none: everything is computed on the CPU, and the class says so.
 */
export function layersFor({ llama }: LlamaLibrary, { gpuLayers, contextSize, sequences }: LayersWanted) {
  if (gpuLayers !== autoGpuLayers) return gpuLayers;
  return llama.gpu === false ? 0 : { fitContext: { contextSize: allocatedContext(contextSize) * sequences } };
}

/** How the determinism class names what computes a model that is loaded. */
export function deviceOf(library: LlamaLibrary, model: LlamaModel): string {
  return model.gpuLayers > 0 ? `${library.device}:${model.gpuLayers}` : library.device;
}

/** Why a model or a context could not be made, in this program's words; what is in them already is left as it is. */
export function loadFailed(error: unknown): BlfError {
  if (error instanceof BlfError) return error;
  const isMemory = error instanceof Error && error.constructor.name === "InsufficientMemoryError";
  return new BlfError({
    code: isMemory ? "MODEL_TOO_LARGE" : "MODEL_LOAD_FAILED",
    message: isMemory ? "There is not enough memory for the model" : "llama.cpp refuses the model",
    hint: isMemory
      ? "Choose a smaller quantization or a smaller context_size."
      : "Check that its architecture is supported by this version, and its SHA-256.",
    cause: error,
  });
}
