import type { LlamaContext, LlamaModel } from "node-llama-cpp";
import { batchSize } from "./generate.ts";
import { freshSequence } from "./sequence.ts";

/**
 * Computes a little with a model that was just loaded, and forgets it again. Kernels that this GPU or its driver cannot run load without a
 * word and abort the process when they are first used: that must be before a job is claimed.
 */
export async function rehearse(model: LlamaModel, context: LlamaContext, signal: AbortSignal): Promise<void> {
  const sequence = await freshSequence(context, signal);
  try {
    const token = model.tokens.bos ?? model.tokens.eos ?? model.tokenize("a", false)[0]!;
    // A GPU has other kernels for many tokens than for one; a CPU would take seconds for them, and has no driver to be in doubt about.
    if (model.gpuLayers > 0) await sequence.evaluateWithoutGeneratingNewTokens(Array(batchSize).fill(token));
    for await (const _ of sequence.evaluate([token], { temperature: 0, yieldEogToken: true })) break;
    signal.throwIfAborted();
  } finally {
    await sequence.dispose();
  }
}
