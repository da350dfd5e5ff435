import { BlfError } from "../../lib/errors.ts";
import { createInference } from "../../node/inference.ts";
import { type Check, type Finding, failed, info, ok } from "../check.ts";
import type { DoctorContext } from "../context.ts";

export const vllmCheck = serviceCheck("vllm", "model server");
export const groqCheck = serviceCheck("groq", "Groq");
export const geminiCheck = serviceCheck("gemini", "Gemini");

/** Whether a service that answers over HTTP can be reached, takes the key and has the models. That costs no money. */
function serviceCheck(backend: "vllm" | "groq" | "gemini", title: string): Check {
  return {
    id: backend,
    title,
    needs: "node",
    timeoutMs: 60_000,
    async run(ctx): Promise<Finding[]> {
      const { config, log, clock, secrets, fetch, random, signal } = ctx;
      const inference = createInference(config, log, clock, { secrets, fetch, random });
      const models = inference.describe().filter((model) => model.backend === backend);
      if (models.length === 0) return [info(this, "not configured")];
      try {
        const isWhole = backend !== "vllm" || (await mayTry(ctx));
        for (const { id } of models) {
          await (isWhole ? inference.look(id, signal) : inference.warm(id, signal));
          const { status, detail } = inference.healthOf(id);
          if (status === "unhealthy")
            return [
              failed(
                this,
                `${id}: ${detail}`,
                "Start the server with that setting; until then the model is not offered.",
              ),
            ];
        }
        const ids = models.map(({ id }) => id).join(", ");
        const tested = isWhole && backend === "vllm" ? ", and the same text cold, warm and amid other requests" : "";
        return [ok(this, `answers, with ${ids}${tested}`)];
      } catch (error) {
        if (error instanceof BlfError) return [failed(this, error.message, error.hint)];
        throw error;
      } finally {
        await inference.close();
      }
    },
  };
}

/** Whether the server may be given prompts to compare its answers: not when that was refused, nor while a node works with it. */
async function mayTry(ctx: DoctorContext): Promise<boolean> {
  return ctx.probe && !(await ctx.node()).running;
}
