import { parseArgs } from "node:util";
import { tinyArchitectures } from "./tiny-architectures.ts";
import { buildTinyModel, type TinyModelOptions } from "./tiny-model.ts";
import { weightTypes } from "./weights.ts";

const usage = `usage: make-gguf.ts OUT.gguf [--arch ${tinyArchitectures.join("|")}] [--type ${weightTypes.join("|")}]
  [--seed N] [--dim N] [--layers N] [--heads N] [--kv-heads N] [--ff N] [--context N] [--says words|anything] [--name TEXT]
  [--chat-template TEXT] [--control-token TOKEN]... [--omit KEY,KEY]`;

/** Makes a tiny model: see `usage`. */
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
    arch: { type: "string" },
    "chat-template": { type: "string" },
    "control-token": { type: "string", multiple: true },
    says: { type: "string" },
    name: { type: "string" },
    omit: { type: "string" },
  },
});
const [out] = positionals;
const type = weightTypes.find((known) => known === (values.type ?? "f32"));
const architecture = tinyArchitectures.find((known) => known === (values.arch ?? "llama"));
if (out === undefined || !type || !architecture) {
  console.error(usage);
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
const options: TinyModelOptions = { type, architecture };
for (const [flag, name] of Object.entries(numbers) as [keyof typeof numbers, (typeof numbers)[keyof typeof numbers]][])
  if (values[flag] !== undefined) options[name] = Number(values[flag]);
if (values.context !== undefined) options.contextLength = Number(values.context);
if (values.says === "anything") options.says = "anything";
if (values.name !== undefined) options.name = values.name;
if (values["chat-template"] !== undefined) options.chatTemplate = values["chat-template"];
if (values["control-token"] !== undefined) options.controlTokens = values["control-token"];
if (values.omit !== undefined) options.omit = values.omit.split(",");
const model = buildTinyModel(options);
await Bun.write(out, model);
console.log(`${out}: ${model.length} bytes`);
