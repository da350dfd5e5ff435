import type { Generation } from "../../inference/backend.ts";
import { BlfError, errorCode } from "../../lib/errors.ts";
import { hasFault } from "../../lib/faults.ts";
import type { NodeContext } from "../context.ts";
import { fastestAnswerMs, learnPace } from "../pace.ts";
import { endOfClaim } from "./claim.ts";
import { type Job, step } from "./job.ts";

export type GenerateJobOptions = {
  /** Whether the job needs the model once more after its answer. */
  keepsModel?: boolean;
};

/**
 * Runs the model, if there is time for it. A job that made the engine crash is remembered, and never run on this node again.
 * @throws BlfError `CLAIM_TOO_SHORT`, `ENGINE_*`, `MODEL_*`
 */
export async function generate(
  ctx: NodeContext,
  job: Job,
  prompt: string,
  signal: AbortSignal,
  { keepsModel = false }: GenerateJobOptions = {},
): Promise<Generation> {
  const { modelId } = job.record;
  const began = ctx.clock.now();
  try {
    assertTime(ctx, job);
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
    if (errorCode(error) === "DEADLINE_PASSED")
      learnPace(ctx, job.record, { modelMs: ctx.clock.now() - began, restMs: began - job.startedAt });
    throw error;
  } finally {
    if (!keepsModel) job.modelDone();
  }
}

/** Gives up what cannot be finished any more: the model is of better use to the next job. */
function assertTime(ctx: NodeContext, { key, record, claim }: Job): void {
  const rest = endOfClaim(ctx, claim.claimDeadline) - ctx.clock.now();
  const fastest = fastestAnswerMs(ctx, key.role, record.modelId);
  if (rest >= fastest) return;
  throw new BlfError({
    code: "CLAIM_TOO_SHORT",
    message: `Only ${Math.max(0, Math.round(rest / 1000))} s of the claim are left, and the model needs ${Math.round(fastest / 1000)} s at least`,
    hint: "Use a smaller model or a faster machine, or lower max_concurrent_jobs.",
  });
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
