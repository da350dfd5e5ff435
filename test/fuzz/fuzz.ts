import { parseArgs } from "node:util";
import { fuzz } from "./run.ts";
import { makeTargets } from "./targets.ts";

/** `bun test/fuzz/fuzz.ts [--cases 100000] [--target gguf] [--seed 1]`: every target alike; the share of the slow ones is left out. */
const { values } = parseArgs({
  options: { cases: { type: "string" }, target: { type: "string" }, seed: { type: "string" } },
});
const cases = Number(values.cases ?? 100_000);
const { targets, close } = await makeTargets();
try {
  for (const [name, target] of Object.entries(targets)) {
    if (values.target !== undefined && values.target !== name) continue;
    const { share: _, ...whole } = target;
    const started = performance.now();
    const seed = values.seed === undefined ? Date.now() : Number(values.seed);
    console.log(`${name}: seed ${seed} …`);
    const done = await fuzz(name, whole, { cases, seed });
    console.log(`${name}: ${done} cases in ${Math.round((performance.now() - started) / 1000)} s, nothing got out`);
  }
} finally {
  close();
}
