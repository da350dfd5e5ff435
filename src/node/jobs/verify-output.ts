import { BlfError } from "../../lib/errors.ts";
import type { NodeContext } from "../context.ts";
import { rememberCrash } from "./generate.ts";
import { type Job, step } from "./job.ts";

/** Whether this node looks at its answer to the job again before it submits anything. */
export function verifiesOutput({ config, inference }: NodeContext, { record }: Job): boolean {
  return config.engine.verify_output && inference.canVerify(record.modelId);
}

/**
 * Has the model look at its own answer again. An answer that it does not give twice would be rejected by the verifiers, at the cost of
 * this node's reputation.
 * @throws BlfError `OUTPUT_NOT_REPRODUCED`, `ENGINE_*`, `MODEL_*`
 */
export async function verifyOutput(
  ctx: NodeContext,
  job: Job,
  { prompt, output }: { prompt: string; output: string },
  signal: AbortSignal,
): Promise<void> {
  const { modelId } = job.record;
  try {
    const { agrees, method, ms } = await step(ctx, job, "verify-output", signal, (s) =>
      ctx.inference.verify({ modelId, prompt }, output, { signal: s }),
    );
    if (!agrees) throw outputNotReproduced();
    job.log.info("output verified", { model: modelId, reason: method, ms: Math.round(ms) });
  } catch (error) {
    rememberCrash(ctx, job, error);
    throw error;
  } finally {
    job.modelDone();
  }
}

function outputNotReproduced(): BlfError {
  return new BlfError({
    code: "OUTPUT_NOT_REPRODUCED",
    message: "The model does not answer with the same text again, so nothing was submitted",
    hint: "Run `blindference test-determinism` to see what differs. Test memory and GPU, or set gpu_layers to 0.",
  });
}
