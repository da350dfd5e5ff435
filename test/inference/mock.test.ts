import { describe, expect, test } from "bun:test";
import { createMockBackend, mockOutput } from "../../src/inference/mock.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { failureOf, never } from "./fixture.ts";

describe("mock backend", () => {
  test("answers as PROTOCOL.md 2.8 and its test vector say", async () => {
    const expected = "MOCK_OUTPUT_d5363a61a2df5f0fbcb39df970a61b77fba17baa784130c3a71c95be659e3654";
    expect(mockOutput("qwen2.5-7b", "hello")).toBe(expected);
    const backend = createMockBackend({ models: ["qwen2.5-7b"], optedIn: ["qwen2.5-7b"], clock: systemClock });
    const pieces: string[] = [];
    const request = { modelId: "qwen2.5-7b", prompt: "hello" };
    const { text } = await backend.generate(request, { signal: never, onToken: (piece) => pieces.push(piece) });
    expect(text).toBe(expected);
    expect(pieces.join("")).toBe(expected);
  });

  test("serves models whose names say that they are mocks", () => {
    expect(createMockBackend({ models: ["mock", "mock-7b"], clock: systemClock }).models()).toEqual([
      "mock",
      "mock-7b",
    ]);
  });

  test("refuses a real model without the operator's word", async () => {
    const create = () => createMockBackend({ models: ["mock", "llama-3"], optedIn: ["other"], clock: systemClock });
    expect((await failureOf(create)).code).toBe("MOCK_NOT_ALLOWED");
  });

  test("refuses a model that it was not given", async () => {
    const backend = createMockBackend({ models: ["mock"], clock: systemClock });
    const generate = () => backend.generate({ modelId: "mock-2", prompt: "x" }, { signal: never });
    expect((await failureOf(generate)).code).toBe("MOCK_NOT_ALLOWED");
  });

  test("does not answer when aborted", async () => {
    const backend = createMockBackend({ models: ["mock"], clock: systemClock });
    const reason = new Error("too late");
    const generation = backend.generate({ modelId: "mock", prompt: "x" }, { signal: AbortSignal.abort(reason) });
    await expect(generation).rejects.toBe(reason);
  });
});
