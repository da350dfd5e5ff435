import type { Generation } from "../../inference/backend.ts";
import { errorCode } from "../../lib/errors.ts";
import { hasFault } from "../../lib/faults.ts";
import type { NodeContext } from "../context.ts";
import { type Job, step } from "./job.ts";

export type GenerateJobOptions = {
  /** Whether the job needs the model once more after its answer. */
  keepsModel?: boolean;
};

/**
 * Runs the model. A job that made the engine crash is remembered, and never run on this node again.
 * @throws BlfError `ENGINE_*`, `MODEL_*`
 */
export async function generate(
  ctx: NodeContext,
  job: Job,
  prompt: string,
  signal: AbortSignal,
  { keepsModel = false }: GenerateJobOptions = {},
): Promise<Generation> {
  try {
    const { modelId } = job.record;
    const generation = await step(ctx, job, "generate", signal, (s) =>
      ctx.inference.generate({ modelId, prompt }, { signal: s }),
    );
    ctx.metrics.tokens.inc({ model: modelId }, generation.outputTokens);
    job.log.info("generated", {
      model: modelId,
      tokens: generation.outputTokens,
      ms: Math.round(generation.ms),
      determinismClass: generation.determinismClass,
    });
    return hasFault("wrong-answer") ? { ...generation, text: `${generation.text} (wrong)` } : generation;
  } catch (error) {
    rememberCrash(ctx, job, error);
    throw error;
  } finally {
    if (!keepsModel) job.modelDone();
  }
}

/**
 * Writes down that the engine crashed, if that is what happened. A disk that is full must not hide it: the failure itself is written
 * down as soon as it can be.
 */
export function rememberCrash(ctx: NodeContext, job: Job, cause: unknown): void {
  if (errorCode(cause) !== "ENGINE_CRASHED") return;
  try {
    ctx.journal.update(job.key, { engineCrashes: job.record.engineCrashes + 1 }, { durable: true });
  } catch (error) {
    job.log.warn("the crash of the engine could not be written down", { code: errorCode(error) });
  }
}
