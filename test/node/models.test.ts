import { describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadConfig } from "../../src/config/load.ts";
import type { ConfigFile } from "../../src/config/schema.ts";
import { createInference } from "../../src/node/inference.ts";
import { localModels, offeredModels, unservedModels, withoutNarrowing } from "../../src/node/models.ts";
import { captureLog } from "../helpers/capture-log.ts";
import { manualClock } from "../helpers/manual-clock.ts";
import { tempDirectory } from "../helpers/temp-directory.ts";

/** The configuration of a directory with these files in its model directory. */
function configured(dir: string, flags: ConfigFile, files: string[] = []) {
  mkdirSync(join(dir, "models"), { recursive: true });
  for (const file of files) writeFileSync(join(dir, "models", file), "");
  return loadConfig({ env: { BLF_CONFIG_DIR: dir }, flags }).config;
}

describe("the local models", () => {
  test("are those with a path, and those whose file lies in the model directory under their name", () => {
    using dir = tempDirectory();
    const config = configured(
      dir.path,
      {
        supported_model_ids: ["tiny", "facebook/opt-125m", "missing", "mine"],
        models: { mine: { path: "elsewhere/mine.gguf", context_size: 128, gpu_layers: 3 } },
      },
      ["tiny.gguf", "facebook__opt-125m.gguf", "mine.gguf", "not-asked-for.gguf"],
    );
    const rest = { context_size: 2048, max_tokens: 512, gpu_layers: 0 };
    expect(localModels(config)).toEqual({
      tiny: { ...rest, path: join(dir.path, "models", "tiny.gguf") },
      "facebook/opt-125m": { ...rest, path: join(dir.path, "models", "facebook__opt-125m.gguf") },
      mine: { ...rest, path: join(dir.path, "elsewhere", "mine.gguf"), context_size: 128, gpu_layers: 3 },
    });
  });
});

describe("what is offered", () => {
  const models = { a: { path: "/a.gguf" }, b: { path: "/b.gguf" } };
  const cases: [string, ConfigFile, string[], string[]][] = [
    ["nothing by default", {}, [], []],
    ["every local model and every mock", { models, mock_model_ids: ["mock-c"] }, ["a", "b", "mock-c"], []],
    ["only what supported_model_ids lists", { models, supported_model_ids: ["b"] }, ["b"], []],
    ["never what nothing here can run", { models, supported_model_ids: ["a", "llama-3-70b"] }, ["a"], ["llama-3-70b"]],
    [
      "models of services, and those that supported_model_ids names by their prefix",
      {
        vllm: { base_url: "http://127.0.0.1:1", models: { opt: "facebook/opt-125m" } },
        groq: { models: ["groq:a"] },
        gemini: { models: ["gemini:a"] },
      },
      ["gemini:a", "groq:a", "opt"],
      [],
    ],
    ["a cloud's model by its id alone", { supported_model_ids: ["groq:a", "gemini:b"] }, ["gemini:b", "groq:a"], []],
    [
      "no model of a server without an address",
      { vllm: { models: { opt: "o" } }, supported_model_ids: ["opt"] },
      [],
      ["opt"],
    ],
    ["a mock only when it is wanted", { mock_model_ids: ["mock-c"], supported_model_ids: ["x"] }, [], ["x"]],
  ];
  test.each(cases)("is %s", (_name, flags, offered, unserved) => {
    using dir = tempDirectory();
    const config = configured(dir.path, flags);
    expect(offeredModels(config)).toEqual(offered);
    expect(unservedModels(config)).toEqual(unserved);
    const clock = manualClock();
    const inference = createInference(config, captureLog(clock).log, clock);
    expect([...inference.models()].sort()).toEqual(offered);
    // Services are looked at first.
    const isService = (id: string) => /^(vllm|groq|gemini)$/.test(inference.backendOf(id).name);
    for (const id of offered) expect(inference.canServe(id)).toBe(!isService(id));
    expect([...inference.advertised()].sort()).toEqual(offered.filter((id) => !isService(id)));
    for (const id of unserved) expect(inference.canServe(id)).toBe(false);
  });

  test("a cloud without its key is unhealthy, and says which variable is missing", async () => {
    using dir = tempDirectory();
    const clock = manualClock();
    const config = configured(dir.path, { groq: { models: ["groq:a"] }, mock_model_ids: ["mock-a"] });
    const inference = createInference(config, captureLog(clock).log, clock);
    const { signal } = new AbortController();
    await expect(inference.probe(signal)).rejects.toMatchObject({ code: "GROQ_KEY_MISSING" });
    expect(inference.healthOf("groq:a")).toEqual({
      status: "unhealthy",
      detail: "Groq needs a key, and GROQ_API_KEY is not set",
    });
    expect(inference.advertised()).toEqual(["mock-a"]);
  });

  test("a configuration that is not narrowed has every model", () => {
    using dir = tempDirectory();
    const config = configured(dir.path, { supported_model_ids: ["groq:a"], mock_model_ids: ["mock-a"] });
    expect(offeredModels(config)).toEqual(["groq:a"]);
    expect(offeredModels(withoutNarrowing(config))).toEqual(["groq:a", "mock-a"]);
  });

  test("a mock answers for a real name only because the operator said so", async () => {
    using dir = tempDirectory();
    const clock = manualClock();
    const log = captureLog(clock).log;
    const config = configured(dir.path, { mock_model_ids: ["qwen2.5-7b"] });
    const inference = createInference(config, log, clock);
    const { signal } = new AbortController();
    // The vector of PROTOCOL.md 2.10.
    expect((await inference.generate({ modelId: "qwen2.5-7b", prompt: "hello" }, { signal })).text).toBe(
      "MOCK_OUTPUT_d5363a61a2df5f0fbcb39df970a61b77fba17baa784130c3a71c95be659e3654",
    );
    expect(inference.describe()).toEqual([
      {
        id: "qwen2.5-7b",
        backend: "mock",
        health: { status: "healthy", detail: "" },
        determinismClass: "mock/sha256",
        determinismClassHash: new Bun.CryptoHasher("sha256").update("mock/sha256").digest("hex"),
      },
    ]);
  });
});
