import { createHash } from "node:crypto";
import type { Backend, Generation } from "../../src/inference/backend.ts";
import { createBackendRegistry } from "../../src/inference/registry.ts";
import { BlfError } from "../../src/lib/errors.ts";
import type { Inference } from "../../src/node/inference.ts";
import { canary, modelId } from "./jobs.ts";
import { doWork, type Life } from "./life.ts";
import { excuse, hits, type World } from "./world.ts";

/** What the model says to a prompt, on every node. */
export function outputOf(prompt: string): string {
  return `${canary} output ${createHash("sha256").update(prompt).digest("hex")}`;
}

export type ModelOptions = {
  world: World;
  life: Life;
  node: string;
  name: string;
  lifeNumber: number;
  taskOf(prompt: string): string;
};

/** One run's model: it takes its time, crashes now and then, and keeps count of how many use it. */
export function createModel({ world, life, node, name, lifeNumber, taskOf }: ModelOptions): Inference {
  const { time, plan, facts } = world;
  const prng = world.prng.fork(`model ${name} ${lifeNumber}`);
  const waiting: (() => void)[] = [];
  let running = 0;

  const turn = async (signal: AbortSignal): Promise<void> => {
    if (running >= plan.modelSlots)
      await life.wait<void>((resolve) => {
        waiting.push(resolve);
      }, signal);
    signal.throwIfAborted();
    running++;
  };

  const generate: Backend["generate"] = async ({ prompt }, { signal }) => {
    await turn(signal);
    try {
      const crashes = hits(world, prng, plan.engineCrashes);
      if (crashes) excuse(facts, node, taskOf(prompt), "engine crash");
      const ms = prng.between(500, 20_000);
      return await doWork<Generation>(time, life, {
        name: `${name} generates`,
        ms,
        signal,
        fault: {
          before: crashes
            ? new BlfError({ code: "ENGINE_CRASHED", message: "The engine crashed", hint: "See its log." })
            : undefined,
        },
        effect: () => ({
          text: outputOf(prompt),
          promptTokens: 3,
          outputTokens: 3,
          finishReason: "stop",
          determinismClass: "sim",
          ms,
        }),
      });
    } finally {
      running--;
      waiting.shift()?.();
    }
  };

  const backend: Backend = {
    name: "sim",
    models: () => [modelId],
    slots: plan.modelSlots,
    determinismClass: () => "sim",
    warm: (_model, signal) =>
      doWork(time, life, { name: `${name} warms`, ms: prng.between(10, 3000), signal, effect: () => undefined }),
    generate,
    health: () => ({ status: "healthy", detail: "" }),
    close: async () => {},
  };
  const registry = createBackendRegistry([backend]);
  return {
    ...registry,
    sharesSlots: () => true,
    isBusy: () => running > 0,
    describe: () => [],
    probe: (signal) => registry.warm(modelId, signal),
  };
}
