import { readGgufFile } from "../../inference/llama/gguf.ts";
import { BlfError } from "../../lib/errors.ts";
import { offeredModels, unservedModels } from "../../node/models.ts";
import { type Check, failed, info, notChecked, ok, warning } from "../check.ts";
import { offeredLocalModels } from "./machine.ts";

export const modelsCheck: Check = {
  id: "models",
  title: "models",
  needs: "node",
  async run({ config }) {
    const offered = offeredModels(config);
    const unserved = unservedModels(config);
    if (unserved.length > 0)
      return [
        warning(
          this,
          `${unserved.join(", ")} of supported_model_ids is not here and is not offered`,
          "Add its file to `models`, or take it out of supported_model_ids.",
        ),
      ];
    if (offered.length > 0) return [ok(this, offered.join(", "))];
    return [
      warning(
        this,
        "no model is configured: this node gets no jobs",
        "For example: blindference models add my-model=/models/my-model.gguf",
      ),
    ];
  },
};

export const modelFilesCheck: Check = {
  id: "model-files",
  title: "model files",
  needs: "node",
  async run(ctx) {
    const models = offeredLocalModels(ctx);
    for (const [id, { path }] of models) {
      try {
        readGgufFile(path);
      } catch (error) {
        if (error instanceof BlfError) return [failed(this, `${id}: ${error.message}`, error.hint)];
        throw error;
      }
    }
    if (models.length === 0) return [info(this, "no local model")];
    return [ok(this, `${models.length} with a valid header`)];
  },
};

const probePrompt = `Repeat after me, then go on counting: ${Array.from({ length: 48 }, (_, index) => index).join(" ")}`;

export const determinismCheck: Check = {
  id: "determinism",
  title: "determinism",
  needs: "node",
  timeoutMs: 60_000,
  async run(ctx) {
    const [first] = offeredLocalModels(ctx);
    if (!first) return [info(this, "no local model")];
    if (!ctx.probe) return [notChecked(this, "--no-probe")];
    if ((await ctx.node()).running) return [notChecked(this, "the running node has the model")];
    const [modelId, model] = first;
    const backend = ctx.openModel(modelId, model);
    try {
      const ask = () => backend.generate({ modelId, prompt: probePrompt }, { signal: ctx.signal });
      const [one, two] = [await ask(), await ask()];
      if (one.text === two.text) return [ok(this, `${modelId} gave the same ${one.outputTokens} tokens twice`)];
      const remedy =
        "Do not run this node: it would be slashed. Check memory and processor, and that nothing is overclocked.";
      return [failed(this, `${modelId} gave two different texts for one prompt`, remedy)];
    } catch (error) {
      // A broken file is the matter of another finding.
      if (error instanceof BlfError && /^MODEL_/.test(error.code))
        return [notChecked(this, "the model cannot be loaded")];
      throw error;
    } finally {
      await backend.close();
    }
  },
};
