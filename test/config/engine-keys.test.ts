import { describe, expect, test } from "bun:test";
import { loadConfig } from "../../src/config/load.ts";
import { llamaModel } from "../../src/node/inference.ts";
import { expectCode } from "../crypto/expect-code.ts";
import { dataDirectory } from "./directory.ts";

describe("the keys of inference on this machine", () => {
  const load = (file: object, env: Record<string, string> = {}) => {
    using data = dataDirectory(file);
    return loadConfig({ env: { ...data.env, ...env } }).config;
  };
  const modelOf = (keys: object) => load({ models: { m: { path: "/m.gguf", ...keys } } }).models["m"]!;

  test("say how many answers are generated side by side, and when a model is given up", () => {
    expect(load({}).engine).toMatchObject({ sequences: 0, idle_unload_minutes: 0 });
    expect(load({ engine: { sequences: 4, idle_unload_minutes: 30 } }).engine).toMatchObject({
      sequences: 4,
      idle_unload_minutes: 30,
    });
    const variables = { BLF_ENGINE_SEQUENCES: "2", BLF_ENGINE_IDLE_UNLOAD_MINUTES: "5" };
    expect(load({ engine: { threads: 3 } }, variables).engine).toMatchObject({
      threads: 3,
      sequences: 2,
      idle_unload_minutes: 5,
    });
  });

  test("say whether a leader looks at its answers again", async () => {
    expect(load({}).engine.verify_output).toBe(false);
    expect(load({ engine: { verify_output: true } }).engine.verify_output).toBe(true);
    const off = { BLF_ENGINE_VERIFY_OUTPUT: "no" };
    expect(load({ engine: { verify_output: true, threads: 2 } }, off).engine).toMatchObject({
      verify_output: false,
      threads: 2,
    });
    await expectCode(() => load({ engine: { verify_output: "true" } }), "CONFIG_INVALID");
    await expectCode(() => load({}, { BLF_ENGINE_VERIFY_OUTPUT: "maybe" }), "CONFIG_INVALID");
  });

  test("take layers of the GPU as a number or as auto", async () => {
    expect(modelOf({}).gpu_layers).toBe(0);
    expect(modelOf({ gpu_layers: 33 }).gpu_layers).toBe(33);
    expect(modelOf({ gpu_layers: "auto" }).gpu_layers).toBe(-1);
    for (const gpu_layers of ["all", -2, 1.5, 1001]) await expectCode(() => modelOf({ gpu_layers }), "CONFIG_INVALID");
  });

  test("hand everything of a model to its backend", () => {
    const form = { template: "chat", system: "Be brief.", stop: ["\n\n"], sha256: "ab".repeat(32) } as const;
    expect(llamaModel(modelOf({ ...form, context_size: 1024, max_tokens: 7, gpu_layers: "auto" }))).toEqual({
      path: "/m.gguf",
      contextSize: 1024,
      maxTokens: 7,
      gpuLayers: -1,
      ...form,
      stop: ["\n\n"],
    });
  });

  test.each([
    { template: "jinja" },
    { system: "" },
    { stop: "END" },
    { stop: [""] },
    { stop: Array(17).fill("x") },
    { sha256: "AB" },
  ])("refuse %o", async (keys) => {
    await expectCode(() => modelOf(keys), "CONFIG_INVALID");
  });
});
