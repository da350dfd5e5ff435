import type { LlamaContext, LlamaContextSequence } from "node-llama-cpp";

/** A sequence that knows nothing yet. One that was disposed frees its place a little later than its promise says. */
export async function freshSequence(context: LlamaContext, signal: AbortSignal): Promise<LlamaContextSequence> {
  while (context.sequencesLeft === 0) {
    signal.throwIfAborted();
    await Bun.sleep(1);
  }
  return context.getSequence();
}
