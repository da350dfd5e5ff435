import { parseArgs } from "node:util";
import { buildTinyModel, type TinyModelOptions } from "./tiny-model.ts";

/** `bun native/make-gguf.ts OUT.gguf [--seed 1] [--dim 64] [--layers 3] [--type f32|f16|q8_0] [--context 2048] [--omit key,key]` */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: "string" },
    dim: { type: "string" },
    layers: { type: "string" },
    heads: { type: "string" },
    "kv-heads": { type: "string" },
    ff: { type: "string" },
    context: { type: "string" },
    type: { type: "string" },
    says: { type: "string" },
    name: { type: "string" },
    omit: { type: "string" },
  },
});
const [out] = positionals;
if (out === undefined) {
  console.error("usage: make-gguf.ts OUT.gguf [--seed N] [--dim N] [--layers N] [--type f32|f16|q8_0] [--context N]");
  process.exit(2);
}
const numbers = {
  seed: "seed",
  dim: "dim",
  layers: "layers",
  heads: "heads",
  "kv-heads": "kvHeads",
  ff: "ff",
} as const;
const options: TinyModelOptions = {};
for (const [flag, name] of Object.entries(numbers) as [keyof typeof numbers, (typeof numbers)[keyof typeof numbers]][])
  if (values[flag] !== undefined) options[name] = Number(values[flag]);
if (values.context !== undefined) options.contextLength = Number(values.context);
if (values.type === "f32" || values.type === "f16" || values.type === "q8_0") options.type = values.type;
if (values.says === "anything") options.says = "anything";
if (values.name !== undefined) options.name = values.name;
if (values.omit !== undefined) options.omit = values.omit.split(",");
const model = buildTinyModel(options);
await Bun.write(out, model);
console.log(`${out}: ${model.length} bytes`);
