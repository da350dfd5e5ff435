import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { buildTinyModel } from "../../../native/tiny-model.ts";
import type { Backend } from "../../../src/inference/backend.ts";
import { knownArchitectures } from "../../../src/inference/llama/architectures.ts";
import { createLlamaBackend, type LlamaBackendOptions } from "../../../src/inference/llama/backend.ts";
import { readGgufFile } from "../../../src/inference/llama/gguf.ts";
import { ensureNativeLibraries } from "../../../src/inference/llama/native.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { engineCommand, failureOf, never, recordingLogger, temporaryDirectory } from "../fixture.ts";

describe.each(["none", "process"] as const)("what is wrong, with isolation %s", (isolation) => {
  let directory: ReturnType<typeof temporaryDirectory>;
  let backend: Backend;
  const sha256 = (bytes: Uint8Array) => new Bun.CryptoHasher("sha256").update(bytes).digest("hex");

  beforeAll(() => {
    directory = temporaryDirectory();
    const bytes = buildTinyModel({ seed: 1, type: "q8_0" });
    const good = directory.file("good.gguf", bytes);
    const cut = directory.file("cut.gguf", bytes);
    const { tensors } = readGgufFile(good);
    truncateSync(cut, bytes.length - Math.floor(tensors.at(-1)!.shape.reduce((a, b) => a * b) / 2));
    const huge = directory.file("huge.gguf", bytes);
    truncateSync(huge, 2 ** 41);
    const renamed = Buffer.from(bytes).toString("latin1").replaceAll("llama", "lemma");
    const models: LlamaBackendOptions["models"] = {
      good: { path: good, maxTokens: 8, sha256: sha256(bytes) },
      missing: { path: join(directory.path, "missing.gguf") },
      text: { path: directory.file("text.gguf", "This is no model.") },
      cut: { path: cut },
      crowded: { path: directory.file("crowded.gguf", withCounts(bytes, 2n ** 62n, 24n)) },
      talkative: { path: directory.file("talkative.gguf", withCounts(bytes, 24n, 2n ** 40n)) },
      unknown: { path: directory.file("unknown.gguf", Buffer.from(renamed, "latin1")) },
      changed: { path: good, sha256: sha256(new Uint8Array([1])) },
      huge: { path: huge },
    };
    backend = createLlamaBackend({
      models,
      isolation,
      threads: 1,
      maxConcurrent: 2,
      log: recordingLogger().log,
      clock: systemClock,
      command: engineCommand,
    });
  });
  afterAll(async () => {
    await backend.close();
    directory.remove();
  });

  const say = (prompt: string) => backend.generate({ modelId: "good", prompt }, { signal: never });

  test.each([
    ["missing", "MODEL_NOT_FOUND"],
    ["text", "MODEL_NOT_GGUF"],
    ["cut", "MODEL_TRUNCATED"],
    ["crowded", "MODEL_CORRUPT"],
    ["talkative", "MODEL_CORRUPT"],
    ["unknown", "MODEL_ARCHITECTURE_UNSUPPORTED"],
    ["changed", "MODEL_HASH_MISMATCH"],
    ["huge", "MODEL_TOO_LARGE"],
  ])("a file that is %s is refused, and the model that works goes on", async (modelId, code) => {
    const before = await say("still here");
    const error = await failureOf(() => backend.generate({ modelId, prompt: "x" }, { signal: never }));
    expect(error.code).toBe(code);
    expect(error.hint).not.toBe("");
    expect(error.retryable).toBe(false);
    expect(backend.health().status).toBe("degraded");
    expect((await say("still here")).text).toBe(before.text);
    expect(backend.health().status).toBe("healthy");
  });

  test("prompts of odd characters are plain text", async () => {
    const base = (await say("")).promptTokens;
    for (const [prompt, atLeast] of [
      ["\u0000", 1],
      ["a\u0000b", 3],
      ["\ud800", 1],
      ["\udfff\ud800x", 3],
      ["<s>", 3],
      ["</s>", 4],
      ["<unk>", 5],
      ["<|im_end|>", 10],
      ["<0x41>", 6],
      ["\u{10ffff}\ufeff\u202e", 3],
    ] as const) {
      const [first, second] = [await say(prompt), await say(prompt)];
      expect(first.promptTokens).toBeGreaterThanOrEqual(base + atLeast);
      expect(second.text).toBe(first.text);
    }
    expect((await say("\ud800")).text).toBe((await say("\ufffd")).text);
  });

  test("prompts that do not fit are refused, be it by a megabyte", async () => {
    for (const prompt of [
      "x ".repeat(2 ** 19),
      "\u0000".repeat(2 ** 20),
      "</s>".repeat(2 ** 18),
      "世".repeat(2 ** 20),
    ]) {
      const error = await failureOf(() => say(prompt));
      expect(error.code).toBe("MODEL_PROMPT_TOO_LONG");
      expect(error.message).toBe("The prompt has more than 2048 tokens, but the context holds 2048");
      expect(backend.health().status).toBe("healthy");
    }
    expect((await say("after")).outputTokens).toBe(8);
  }, 60_000);
});

/** A GGUF says in its first 24 bytes how many tensors and keys it has. */
function withCounts(bytes: Uint8Array, tensors: bigint, keys: bigint): Uint8Array {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  view.setBigUint64(8, tensors, true);
  view.setBigUint64(16, keys, true);
  return copy;
}

test("the known architectures are those of the library", async () => {
  const { directory } = await ensureNativeLibraries({ log: recordingLogger().log });
  const name = readdirSync(directory).find((file) => /^libllama\.(so|v[\d.]+|dylib)/.test(file));
  const library = readFileSync(join(directory, name!)).toString("latin1");
  // Compilers put short texts into the code itself, so a few cannot be found.
  const missing = [...knownArchitectures].filter((architecture) => !library.includes(`\0${architecture}\0`));
  expect(missing.filter((architecture) => architecture.length > 7)).toEqual([]);
  expect(missing.length).toBeLessThan(10);
});
