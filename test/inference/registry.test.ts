import { describe, expect, test } from "bun:test";
import type { Backend, BackendHealth } from "../../src/inference/backend.ts";
import type { ProbedBackend } from "../../src/inference/http/probed-backend.ts";
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
      warm: async () => {
        if (code !== undefined) throw new BlfError({ code, message: "it failed", hint: "none" });
      },
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

  test("has answers looked at again by backends that can, and counts their failures", async () => {
    const code = "ENGINE_CRASHED";
    const checks = [
      async () => ({ agrees: false, method: "decoding" as const, ms: 1 }),
      () => Promise.reject(new BlfError({ code, message: "it failed", hint: "none" })),
    ];
    const able: Backend = { ...mock("mock-a"), verify: () => (checks.length > 1 ? checks.shift()! : checks[0]!)() };
    const registry = createBackendRegistry([able, mock("mock-b")]);
    const verify = (modelId: string) => registry.verify({ modelId, prompt: "p" }, "text", { signal: never });
    expect([registry.canVerify("mock-a"), registry.canVerify("mock-b")]).toEqual([true, false]);
    expect(await verify("mock-a")).toEqual({ agrees: false, method: "decoding", ms: 1 });
    for (let failure = 0; failure < 3; failure++) expect((await failureOf(() => verify("mock-a"))).code).toBe(code);
    expect(registry.canServe("mock-a")).toBe(false);
    expect((await failureOf(() => verify("mock-c"))).code).toBe("MODEL_UNKNOWN");
    expect((await failureOf(() => registry.canVerify("mock-c"))).code).toBe("MODEL_UNKNOWN");
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

  test("gives a backend up after two failures in a row, before a stake is lost, until it succeeds", async () => {
    const { backend, fail } = failing("mock-a");
    const registry = createBackendRegistry([backend]);
    const generate = () => registry.generate({ modelId: "mock-a", prompt: "p" }, { signal: never });
    fail("ENGINE_CRASHED");
    await failureOf(generate);
    fail(undefined);
    await generate();
    fail("ENGINE_CRASHED");
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

  test("has no job lost to see once more that a model cannot be loaded", async () => {
    const { backend, fail } = failing("mock-a");
    const registry = createBackendRegistry([backend]);
    fail("ENGINE_CRASHED");
    await failureOf(() => registry.warm("mock-a", never));
    expect(registry.canServe("mock-a")).toBe(false);
    await failureOf(() => registry.probe(never));
    expect(registry.canServe("mock-a")).toBe(false);
    fail(undefined);
    await registry.probe(never);
    expect(registry.canServe("mock-a")).toBe(true);
  });

  test("tries a model that cannot be loaded ever more rarely, and leaves the others of its backend alone", async () => {
    const inner = mock("mock-a", "mock-b");
    const loads: string[] = [];
    const backend: Backend = {
      ...inner,
      warm: async (modelId) => {
        loads.push(modelId);
        if (modelId === "mock-a") throw failed("ENGINE_NO_GPU");
      },
    };
    const registry = createBackendRegistry([backend]);
    await failureOf(() => registry.warm("mock-a", never));
    await registry.warm("mock-b", never);
    expect(registry.advertised()).toEqual(["mock-b"]);
    loads.length = 0;
    const rounds: number[] = [];
    for (let round = 0; round < 16; round++) {
      await registry.probe(never).catch(() => rounds.push(round));
      expect(registry.canServe("mock-a")).toBe(false);
    }
    expect(rounds).toEqual([0, 1, 3, 7, 15]);
    expect(new Set(loads)).toEqual(new Set(["mock-a"]));
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
    for (let i = 0; i < 2; i++)
      await failureOf(() => registry.generate({ modelId: "mock-a", prompt: "p" }, { signal: never }));
    expect(registry.canServe("mock-a")).toBe(false);
    fail(undefined);
    await registry.warm("mock-a", never);
    expect(registry.canServe("mock-a")).toBe(true);
  });

  test("a failure of one model only leaves the backend's others alone", async () => {
    const inner = mock("mock-a", "mock-b");
    const registry = createBackendRegistry([
      {
        ...inner,
        generate: async (request, options) => {
          if (request.modelId === "mock-a") throw failed("MODEL_FILE_MISSING");
          return inner.generate(request, options);
        },
      },
    ]);
    for (let i = 0; i < 3; i++) await failureOf(() => registry.generate(asking("mock-a"), { signal: never }));
    expect([registry.canServe("mock-a"), registry.canServe("mock-b")]).toEqual([false, true]);
    expect(registry.healthOf("mock-a").detail).toEndWith(": MODEL_FILE_MISSING");
    expect(registry.healthOf("mock-b").status).toBe("healthy");
    expect(registry.advertised()).toEqual(["mock-b"]);
    expect(registry.models()).toEqual(["mock-a", "mock-b"]);
  });
});

const failed = (code: string) => new BlfError({ code, message: "it failed", hint: "none" });
const asking = (modelId: string) => ({ modelId, prompt: "p" });

/** A backend that looks at its models, with what the test says about them. */
function service(...ids: string[]) {
  const inner = mock(...ids.map((id) => `mock-${id}`));
  const models = Object.fromEntries(
    inner.models().map((id) => [id, { offered: false, open: true, health: "healthy" as BackendHealth["status"] }]),
  );
  const calls: string[] = [];
  let failure: string | undefined;
  let onProbe: (modelId: string) => void = (modelId) => {
    models[modelId]!.offered = true;
  };
  const backend: ProbedBackend = {
    ...inner,
    name: "service",
    generate: async (request, options) => {
      if (failure !== undefined) throw failed(failure);
      return inner.generate(request, options);
    },
    modelHealth: (id) => ({ status: models[id]!.health, detail: models[id]!.health === "healthy" ? "" : "because" }),
    isOffered: (id) => models[id]!.offered,
    isOpen: (id) => models[id]!.open,
    probe: async (id) => {
      calls.push(id);
      onProbe(id);
    },
  };
  return {
    backend,
    models,
    calls,
    failWith: (code: string | undefined) => {
      failure = code;
    },
    probing: (action: (modelId: string) => void) => {
      onProbe = action;
    },
  };
}

describe("models of a service", () => {
  test("are neither advertised nor served before they were looked at, and each is looked at once", async () => {
    const { backend, calls } = service("a", "b");
    const registry = createBackendRegistry([backend, mock("mock-local")]);
    expect([registry.advertised(), registry.canServe("mock-a")]).toEqual([["mock-local"], false]);
    await Promise.all([registry.probe(never), registry.probe(never)]);
    expect(calls).toEqual(["mock-a", "mock-b"]);
    expect(registry.advertised()).toEqual(["mock-a", "mock-b", "mock-local"]);
    expect(registry.canServe("mock-a")).toBe(true);
    await registry.probe(never);
    expect(calls).toHaveLength(2);
  });

  test("that fail to be looked at keep no other from it", async () => {
    const { backend, models, calls, probing } = service("a", "b");
    const registry = createBackendRegistry([backend]);
    probing((id) => {
      if (id === "mock-a") throw failed("VLLM_SERVER_ERROR");
      models[id]!.offered = true;
    });
    for (let i = 0; i < 5; i++) expect((await failureOf(() => registry.probe(never))).code).toBe("VLLM_SERVER_ERROR");
    expect(registry.advertised()).toEqual(["mock-b"]);
    expect(registry.canServe("mock-b")).toBe(true);
    expect(calls.filter((id) => id === "mock-b")).toHaveLength(1);
  });

  test("are still advertised while the service refuses requests, but not claimed", async () => {
    const { backend, models } = service("a");
    const registry = createBackendRegistry([backend]);
    await registry.probe(never);
    models["mock-a"] = { offered: true, open: false, health: "degraded" };
    expect(registry.healthOf("mock-a")).toEqual({ status: "degraded", detail: "because" });
    expect([registry.advertised(), registry.canServe("mock-a")]).toEqual([["mock-a"], false]);
  });

  test("are all given up when the service cannot be reached three times, and come back by a look", async () => {
    const { backend, calls, failWith } = service("a", "b");
    const registry = createBackendRegistry([backend]);
    await registry.probe(never);
    failWith("VLLM_UNREACHABLE");
    for (let i = 0; i < 3; i++) await failureOf(() => registry.generate(asking("mock-a"), { signal: never }));
    expect(registry.advertised()).toEqual([]);
    expect(registry.health()["service"]?.status).toBe("unhealthy");
    failWith(undefined);
    await registry.probe(never);
    // It may have been started with other settings: what was found out before no longer holds for any of them.
    expect(calls.slice(2)).toEqual(["mock-a", "mock-b"]);
    expect(registry.advertised()).toEqual(["mock-a", "mock-b"]);
  });

  test("are given up one by one for what is no matter of the service", async () => {
    const { backend, failWith } = service("a", "b");
    const registry = createBackendRegistry([backend]);
    await registry.probe(never);
    failWith("VLLM_NOT_JSON");
    for (let i = 0; i < 3; i++) await failureOf(() => registry.generate(asking("mock-a"), { signal: never }));
    expect(registry.advertised()).toEqual(["mock-b"]);
  });

  test.each([
    "GROQ_RATE_LIMITED",
    "GROQ_PROMPT_REJECTED",
    "GEMINI_ANSWER_BLOCKED",
    "GEMINI_ANSWER_TRUNCATED",
    "MODEL_PROMPT_TOO_LONG",
  ])("are not given up for %s", async (code) => {
    const { backend, failWith } = service("a");
    const registry = createBackendRegistry([backend]);
    await registry.probe(never);
    failWith(code);
    for (let i = 0; i < 5; i++) await failureOf(() => registry.generate(asking("mock-a"), { signal: never }));
    expect(registry.advertised()).toEqual(["mock-a"]);
  });

  test("a look that finds a model unfit does not make it healthy", async () => {
    const { backend, models, probing } = service("a");
    const registry = createBackendRegistry([backend]);
    probing((id) => {
      models[id]!.health = "unhealthy";
    });
    await registry.probe(never);
    expect([registry.advertised(), registry.canServe("mock-a")]).toEqual([[], false]);
    expect(registry.healthOf("mock-a")).toEqual({ status: "unhealthy", detail: "because" });
  });
});
