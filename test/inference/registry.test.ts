import { describe, expect, test } from "bun:test";
import type { Backend } from "../../src/inference/backend.ts";
import { createMockBackend } from "../../src/inference/mock.ts";
import { createBackendRegistry } from "../../src/inference/registry.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { BlfError } from "../../src/lib/errors.ts";
import { failureOf, never } from "./fixture.ts";

const mock = (...models: string[]) => createMockBackend({ models, clock: systemClock });

/** A mock that fails with the code that is set. */
function failing(modelId: string): { backend: Backend; fail(code: string | undefined): void } {
  const backend = mock(modelId);
  let code: string | undefined;
  return {
    fail: (next) => {
      code = next;
    },
    backend: {
      ...backend,
      generate: async (request, options) => {
        if (code !== undefined) throw new BlfError({ code, message: "it failed", hint: "none" });
        return backend.generate(request, options);
      },
    },
  };
}

describe("backend registry", () => {
  test("finds a backend by exact id only", async () => {
    const registry = createBackendRegistry([mock("mock-a", "mock-b"), mock("mock-c")]);
    expect(registry.models()).toEqual(["mock-a", "mock-b", "mock-c"]);
    expect(registry.canServe("mock-b")).toBe(true);
    const generation = await registry.generate({ modelId: "mock-c", prompt: "p" }, { signal: never });
    expect(generation.text).toStartWith("MOCK_OUTPUT_");
    for (const modelId of ["mock", "Mock-a", "mock-a ", "llama-3"]) {
      expect(registry.canServe(modelId)).toBe(false);
      expect((await failureOf(() => registry.generate({ modelId, prompt: "p" }, { signal: never }))).code).toBe(
        "MODEL_UNKNOWN",
      );
      expect((await failureOf(() => registry.backendOf(modelId))).code).toBe("MODEL_UNKNOWN");
    }
  });

  test("adds up slots", () => {
    const registry = createBackendRegistry([mock("mock-a"), mock("mock-b")]);
    expect(registry.slots).toBe(registry.slotsOf("mock-a") + registry.slotsOf("mock-b"));
  });

  test("refuses one model in two backends", async () => {
    expect((await failureOf(() => createBackendRegistry([mock("mock-a"), mock("mock-a")]))).code).toBe(
      "MODEL_AMBIGUOUS",
    );
  });

  test("gives a backend up after three failures in a row, until it succeeds", async () => {
    const { backend, fail } = failing("mock-a");
    const registry = createBackendRegistry([backend]);
    const generate = () => registry.generate({ modelId: "mock-a", prompt: "p" }, { signal: never });
    fail("ENGINE_CRASHED");
    await failureOf(generate);
    await failureOf(generate);
    fail(undefined);
    await generate();
    fail("ENGINE_CRASHED");
    await failureOf(generate);
    await failureOf(generate);
    expect(registry.canServe("mock-a")).toBe(true);
    await failureOf(generate);
    expect(registry.canServe("mock-a")).toBe(false);
    expect(registry.health()["mock"]?.status).toBe("unhealthy");
    expect(registry.health()["mock"]?.detail).toContain("ENGINE_CRASHED");
    fail(undefined);
    await generate();
    expect(registry.health()).toEqual({ mock: { status: "healthy", detail: "" } });
  });

  test("does not blame the backend for prompts and aborts", async () => {
    const { backend, fail } = failing("mock-a");
    const registry = createBackendRegistry([backend]);
    fail("MODEL_PROMPT_TOO_LONG");
    for (let i = 0; i < 5; i++)
      await failureOf(() => registry.generate({ modelId: "mock-a", prompt: "p" }, { signal: never }));
    fail("ENGINE_CRASHED");
    for (let i = 0; i < 5; i++)
      await failureOf(() => registry.generate({ modelId: "mock-a", prompt: "p" }, { signal: AbortSignal.abort() }));
    expect(registry.canServe("mock-a")).toBe(true);
  });

  test("warming a backend that works again makes it healthy", async () => {
    const { backend, fail } = failing("mock-a");
    const registry = createBackendRegistry([backend]);
    fail("ENGINE_CRASHED");
    for (let i = 0; i < 3; i++)
      await failureOf(() => registry.generate({ modelId: "mock-a", prompt: "p" }, { signal: never }));
    expect(registry.canServe("mock-a")).toBe(false);
    await registry.warm("mock-a", never);
    expect(registry.canServe("mock-a")).toBe(true);
  });
});
