import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type GgufValue, writeGguf } from "../../native/gguf-writer.ts";
import { buildTinyModel } from "../../native/tiny-model.ts";
import { errorText } from "./expect-error.ts";
import { nodeDirectory } from "./node-directory.ts";
import { runCli } from "./run-cli.ts";

setDefaultTimeout(60_000);

const whole = buildTinyModel({ layers: 1, dim: 32, ff: 32 });
const text = (value: string): GgufValue => ({ type: "string", value });
const tensors = [{ name: "t", shape: [32], type: 0, data: new Uint8Array(128) }];
const withoutKeys = writeGguf({ metadata: [["general.architecture", text("llama")]], tensors });

test("a model file that cannot be used stops `run` before it earns a failure, in words", async () => {
  using node = nodeDirectory();
  mkdirSync(join(node.dir, "directory.gguf"));
  const lines: string[] = [];
  for (const [name, content] of [
    ["truncated", whole.subarray(0, whole.length / 2)],
    ["cut in its header", whole.subarray(0, 20)],
    ["wrong magic", new TextEncoder().encode("<!DOCTYPE html><html></html>")],
    ["empty", ""],
    ["missing keys", withoutKeys],
    ["missing", undefined],
    ["directory", undefined],
  ] as const) {
    if (content !== undefined) node.write(`${name}.gguf`, content);
    const models = JSON.stringify({ "qwen2.5-7b": { path: `${name}.gguf` } });
    const result = await runCli(["run", "--log-level", "error"], { env: { ...node.unlocked, BLF_MODELS: models } });
    lines.push(`${name}: ${errorText(result, node.dir)}`);
  }
  expect(lines).toMatchInlineSnapshot(`
    [
      "truncated: 1 The model file ends too early (model qwen2.5-7b) [MODEL_TRUNCATED] | It was probably not downloaded completely: download it again.",
      "cut in its header: 1 The model file ends too early (model qwen2.5-7b) [MODEL_TRUNCATED] | It was probably not downloaded completely: download it again.",
      "wrong magic: 1 The model file is not a GGUF (model qwen2.5-7b) [MODEL_NOT_GGUF] | Give the path of a .gguf file; other formats must be converted first.",
      "empty: 1 The model file is not a GGUF (model qwen2.5-7b) [MODEL_NOT_GGUF] | Give the path of a .gguf file; other formats must be converted first.",
      "missing keys: 1 The model file lacks the key llama.block_count (model qwen2.5-7b) [MODEL_KEY_MISSING] | Convert the model again with a current llama.cpp, or download it from another source.",
      "missing: 1 There is no model file at DIR/missing.gguf (model qwen2.5-7b) [MODEL_NOT_FOUND] | Correct the path in the configuration.",
      "directory: 1 The model file DIR/directory.gguf cannot be read (EISDIR) (model qwen2.5-7b) [MODEL_UNREADABLE] | Give this user read access to the file.",
    ]
  `);
});
