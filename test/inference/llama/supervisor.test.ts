import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createLlamaBackend, type LlamaBackendOptions } from "../../../src/inference/llama/backend.ts";
import { createEngineSupervisor } from "../../../src/inference/llama/supervisor.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { engineCommand, failureOf, never, recordingLogger, temporaryDirectory } from "../fixture.ts";

const secretPrompt = "canary-prompt-5b1c";

describe("llama backend", () => {
  let directory: ReturnType<typeof temporaryDirectory>;
  let models: LlamaBackendOptions["models"];
  const opened: { close(): Promise<void> }[] = [];

  const open = (options: Partial<LlamaBackendOptions> = {}) => {
    const { log, entries } = recordingLogger();
    const backend = createLlamaBackend({
      models,
      threads: 1,
      log,
      clock: systemClock,
      command: engineCommand,
      ...options,
    });
    opened.push(backend);
    const pids = () =>
      entries.filter(({ message }) => message === "the engine's process is ready").map(({ pid }) => pid!);
    return { backend, entries, pids };
  };

  beforeAll(() => {
    directory = temporaryDirectory();
    models = {
      tiny: { path: directory.model("tiny.gguf", { seed: 1, type: "q8_0" }), maxTokens: 24 },
      long: { path: directory.model("long.gguf", { seed: 2 }), maxTokens: 2000 },
      broken: { path: directory.file("broken.gguf", "GGUF") },
    };
  });
  afterAll(async () => {
    await Promise.all(opened.map((backend) => backend.close()));
    directory.remove();
  });

  test("says the same in a child and in this process, of the same class", async () => {
    const [child, direct] = [open(), open({ isolation: "none" })];
    const request = { modelId: "tiny", prompt: 'héllo, 世界 "quoted"' };
    const pieces: string[] = [];
    const inChild = await child.backend.generate(request, { signal: never, onToken: (piece) => pieces.push(piece) });
    const here = await direct.backend.generate(request, { signal: never });
    expect(inChild.text).toBe(here.text);
    expect(pieces.join("")).toBe(inChild.text);
    expect(inChild.determinismClass).toBe(here.determinismClass);
    expect(child.backend.determinismClass("tiny")).toBe(here.determinismClass);
    await Promise.all([child.backend.close(), direct.backend.close()]);
  });

  const isolations = [
    { isolation: "process", maxConcurrent: 1 },
    { isolation: "process", maxConcurrent: 3 },
    { isolation: "none", maxConcurrent: 1 },
    { isolation: "none", maxConcurrent: 3 },
  ] as const;

  test.each(isolations)("answers many at once, each as if it were alone: %o", async (options) => {
    const { backend, entries, pids } = open(options);
    expect(backend.slots).toBe(options.maxConcurrent);
    const prompts = ["a", "b", "c", "d", "a", "b"];
    const texts = await Promise.all(
      prompts.map(async (prompt) => (await backend.generate({ modelId: "tiny", prompt }, { signal: never })).text),
    );
    expect(texts.slice(4)).toEqual(texts.slice(0, 2));
    expect(new Set(texts).size).toBe(4);
    for (const [index, prompt] of prompts.slice(0, 4).entries())
      expect((await backend.generate({ modelId: "tiny", prompt }, { signal: never })).text).toBe(texts[index]!);
    expect(pids()).toHaveLength(options.isolation === "process" ? 1 : 0);
    expect(entries.filter(({ message }) => message === "model loaded")).toHaveLength(1);
    await backend.close();
  });

  test.each(isolations)("knows its own answers from others, while it also answers: %o", async (options) => {
    const { backend, entries } = open(options);
    const request = { modelId: "tiny", prompt: secretPrompt };
    const { text } = await backend.generate(request, { signal: never });
    const verify = (output: string) => backend.verify!(request, output, { signal: never });
    const changed = `${text.slice(0, -1)}${text.endsWith("x") ? "y" : "x"}`;
    const [own, other, shorter, again] = await Promise.all([
      verify(text),
      verify(changed),
      verify(text.slice(0, -1)),
      backend.generate(request, { signal: never }),
    ]);
    expect([own.agrees, other.agrees, shorter.agrees]).toEqual([true, false, false]);
    expect([other.method, shorter.method]).toEqual(["decoding", "decoding"]);
    for (const { ms } of [own, other, shorter]) expect(ms).toBeGreaterThan(0);
    expect(again.text).toBe(text);
    const prompt = `${secretPrompt} `.repeat(400);
    const tooLong = await failureOf(() => backend.verify!({ modelId: "tiny", prompt }, text, { signal: never }));
    expect(tooLong.code).toBe("MODEL_PROMPT_TOO_LONG");
    expect(backend.health().status).toBe("healthy");
    for (const plain of [secretPrompt, text]) expect(JSON.stringify(entries)).not.toContain(plain);
    await backend.close();
  });

  test("loses only the running job when the child is killed, and goes on", async () => {
    const { backend, entries, pids } = open();
    await backend.warm("long", never);
    const killed = failureOf(() =>
      backend.generate(
        { modelId: "long", prompt: secretPrompt },
        { signal: never, onToken: () => process.kill(pids()[0]!, "SIGKILL") },
      ),
    );
    const error = await killed;
    expect(error.code).toBe("ENGINE_CRASHED");
    expect(error.message).toContain("SIGKILL");
    expect(backend.health().status).toBe("degraded");
    const after = await backend.generate({ modelId: "tiny", prompt: "after" }, { signal: never });
    expect(after.outputTokens).toBe(24);
    expect(backend.health()).toEqual({ status: "healthy", detail: "" });
    expect(pids()).toHaveLength(2);
    expect(JSON.stringify(entries)).not.toContain(secretPrompt);
    expect(JSON.stringify(entries)).not.toContain(after.text);
    await backend.close();
  });

  test.each(isolations)("aborts at once and lets the next one in: %o", async (choice) => {
    const { backend } = open(choice);
    const controller = new AbortController();
    const reason = new Error("deadline");
    const options = { signal: controller.signal, onToken: () => controller.abort(reason) };
    await expect(backend.generate({ modelId: "long", prompt: "x" }, options)).rejects.toBe(reason);
    expect(backend.health().status).toBe("healthy");
    expect((await backend.generate({ modelId: "tiny", prompt: "x" }, { signal: never })).outputTokens).toBe(24);
    await backend.close();
  });

  test.each(isolations)("passes on why a model or a prompt is refused: %o", async (choice) => {
    const { backend } = open(choice);
    const broken = await failureOf(() => backend.generate({ modelId: "broken", prompt: "x" }, { signal: never }));
    expect(broken.code).toBe("MODEL_TRUNCATED");
    expect(broken.hint).not.toBe("");
    const prompt = `${secretPrompt} `.repeat(400);
    const tooLong = await failureOf(() => backend.generate({ modelId: "tiny", prompt }, { signal: never }));
    expect(tooLong.code).toBe("MODEL_PROMPT_TOO_LONG");
    expect(tooLong.message).not.toContain(secretPrompt);
    expect((await failureOf(() => backend.warm("other", never))).code).toBe("MODEL_UNKNOWN");
    await backend.close();
  });

  test("ends its child when it is closed, and then refuses", async () => {
    const { backend, pids } = open();
    await backend.warm("long", never);
    const running = failureOf(() => backend.generate({ modelId: "long", prompt: "x" }, { signal: never }));
    await backend.close();
    expect((await running).code).toBe("ENGINE_CLOSED");
    expect(() => process.kill(pids()[0]!, 0)).toThrow("ESRCH");
    expect((await failureOf(() => backend.warm("tiny", never))).code).toBe("ENGINE_CLOSED");
  });
});

describe("engine supervisor", () => {
  const setup = { threads: 1, sequences: 1, gpu: false, clock: systemClock };
  const model = { modelId: "m", path: "/nonexistent.gguf", maxTokens: 1, gpuLayers: 0 };

  test("says so when the process does not start", async () => {
    for (const command of [["/nonexistent-program"], [process.execPath, "--eval", "process.exit(3)"]]) {
      const engine = createEngineSupervisor({ ...setup, command, log: recordingLogger().log });
      const error = await failureOf(() => engine.load(model, never));
      expect(error.code).toBe("ENGINE_START_FAILED");
      expect(error.retryable).toBe(true);
      await engine.close();
    }
  });

  const crashes = [
    {
      printed: "CUDA error: the provided PTX was compiled with an unsupported toolchain",
      says: ["unsupported toolchain", "SIGABRT"],
      advises: ["driver", "engine install vulkan"],
    },
    { printed: "CUDA error: out of memory", says: ["out of memory"], advises: ["gpu_layers"] },
    { printed: "vk::Device::waitForFences: ErrorDeviceLost", says: ["ErrorDeviceLost"], advises: ["vulkaninfo"] },
    { printed: "something else", says: ["SIGABRT"], advises: ["model file"] },
  ];

  test.each(crashes)("tells what the GPU's kernels printed before they aborted: $printed", async (crash) => {
    const script = `
      process.on("message", ({ op }) => {
        if (op === "open") return;
        require("fs").writeSync(1, ${JSON.stringify(`before\n${crash.printed}\n  current device: 0\n`)});
        process.kill(process.pid, "SIGABRT");
      });
      process.send({ event: "ready" });`;
    const command = [process.execPath, "--eval", script];
    const engine = createEngineSupervisor({ ...setup, command, log: recordingLogger().log });
    const error = await failureOf(() => engine.load(model, never));
    expect(error.code).toBe("ENGINE_CRASHED");
    for (const part of crash.says) expect(error.message).toContain(part);
    for (const part of crash.advises) expect(error.hint).toContain(part);
    await engine.close();
  });

  test("waits longer and longer for a process that keeps failing", async () => {
    const waits: number[] = [];
    const clock = {
      now: () => 0,
      sleep: (ms: number, signal?: AbortSignal) => {
        // For it to be ready, and for its last words.
        if (ms === 20_000 || ms === 500) return systemClock.sleep(ms, signal);
        waits.push(ms);
        return Promise.resolve();
      },
    };
    const restart = { initialMs: 100, maxMs: 300, jitter: 0 };
    const command = [process.execPath, "--eval", "process.exit(3)"];
    const engine = createEngineSupervisor({ ...setup, clock, restart, command, log: recordingLogger().log });
    for (let i = 0; i < 5; i++) await failureOf(() => engine.load(model, never));
    expect(waits).toEqual([100, 200, 300]);
    await engine.close();
  });
});
