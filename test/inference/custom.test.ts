import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadConfig } from "../../src/config/load.ts";
import { readCatalogue } from "../../src/inference/custom/catalogue.ts";
import { type CustomBackendOptions, createCustomBackend } from "../../src/inference/custom.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { describeCustomBackends } from "../../src/node/custom-backends.ts";
import { createInference } from "../../src/node/inference.ts";
import { offeredModels } from "../../src/node/models.ts";
import { tempDirectory } from "../helpers/temp-directory.ts";
import { failureOf, never, recordingLogger } from "./fixture.ts";

setDefaultTimeout(60_000);

const canary = "canary-prompt-8d2f";
const good = `export default {
  name: "upper",
  models: ["upper-1", "upper-2"],
  generate: ({ modelId, prompt }: { modelId: string; prompt: string }) => modelId + ":" + prompt.toUpperCase(),
};`;

let directory: ReturnType<typeof tempDirectory>;
beforeAll(() => {
  directory = tempDirectory();
});
afterAll(() => directory[Symbol.dispose]());

let files = 0;
function module(source: string): string {
  const path = join(directory.path, `module-${files++}.ts`);
  writeFileSync(path, source);
  return path;
}

function open(source: string, options: Partial<CustomBackendOptions> = {}) {
  const { log, entries } = recordingLogger();
  const path = module(source);
  const description = { name: "upper", models: ["upper-1", "upper-2"] };
  const backend = createCustomBackend({ path, description, clock: systemClock, log, ...options });
  return { backend, entries, path, [Symbol.asyncDispose]: () => backend.close() };
}

const backendWith = (body: string) => `export const backend = { name: "upper", models: ["upper-1"], ${body} };`;
const ask = (prompt: string, modelId = "upper-1") => ({ modelId, prompt });

describe("a backend module", () => {
  test("says what it is, and answers in a process of its own", async () => {
    await using opened = open(good);
    const { backend } = opened;
    expect(backend.determinismClass("upper-1")).toBeUndefined();
    const loaded = await backend.load(never);
    const digest = new Bun.CryptoHasher("sha256").update(good).digest("hex").slice(0, 12);
    const determinismClass = `custom:upper/module:${digest}`;
    expect(loaded).toEqual({ name: "upper", models: ["upper-1", "upper-2"], determinismClass });
    const pieces: string[] = [];
    const options = { signal: never, onToken: (text: string) => void pieces.push(text) };
    const answer = await backend.generate(ask("two words", "upper-2"), options);
    expect(answer).toMatchObject({ text: "upper-2:TWO WORDS", promptTokens: 2, outputTokens: 2, determinismClass });
    expect(pieces).toEqual(["upper-2:TWO WORDS"]);
    expect(backend.determinismClass("upper-1")).toBe(determinismClass);
  });

  test("may count its tokens itself, and be a named export that is asynchronous", async () => {
    await using opened = open(
      backendWith(
        `generate: async () => ({ text: "x\\ud800", promptTokens: 7, outputTokens: 9, finishReason: "length" })`,
      ),
    );
    const answer = await opened.backend.generate(ask("x"), { signal: never });
    expect(answer).toMatchObject({ text: "x\ufffd", promptTokens: 7, outputTokens: 9, finishReason: "length" });
  });

  test("imports what lies beside it", async () => {
    writeFileSync(join(directory.path, "beside.ts"), `export const twice = (text: string): string => text + text;`);
    await using opened = open(
      `import { twice } from "./beside.ts";\n${backendWith("generate: ({ prompt }: { prompt: string }) => twice(prompt)")}`,
    );
    expect((await opened.backend.generate(ask("ab"), { signal: never })).text).toBe("abab");
  });

  test.each([
    ["that throws", `throw new Error("boom at the top level");`, "BACKEND_IMPORT_FAILED", "boom at the top level"],
    ["with a syntax error", "export default { generate( }", "BACKEND_IMPORT_FAILED", ""],
    ["that imports what is not there", `import "no-such-package";`, "BACKEND_IMPORT_FAILED", "no-such-package"],
    ["without an export", "export const other = 1;", "BACKEND_SHAPE_INVALID", "exports no object"],
    ["that exports a class", "export default class {}", "BACKEND_SHAPE_INVALID", "exports no object"],
    ["without a name", `export default { models: ["m"], generate() {} };`, "BACKEND_SHAPE_INVALID", '"name" must'],
    [
      "with our name",
      `export default { name: "mock", models: ["m"], generate() {} };`,
      "BACKEND_SHAPE_INVALID",
      "built in",
    ],
    [
      "without models",
      `export default { name: "a", models: [], generate() {} };`,
      "BACKEND_SHAPE_INVALID",
      '"models" must',
    ],
    [
      "with a strange model",
      `export default { name: "a", models: ["a b"], generate() {} };`,
      "BACKEND_SHAPE_INVALID",
      '"models.0" must',
    ],
    ["without generate", `export default { name: "a", models: ["m"] };`, "BACKEND_SHAPE_INVALID", '"generate" must'],
    ["that ends its process", "process.exit(3);", "BACKEND_CRASHED", "code 3"],
    [
      "that leaves a failure which nothing handles",
      `void Promise.reject(new Error("stray")); await new Promise(() => {});`,
      "BACKEND_CRASHED",
      "code 1",
    ],
  ])("%s is refused", async (_name, source, code, words) => {
    await using opened = open(source);
    const error = await failureOf(() => opened.backend.load(never));
    expect(error.code).toBe(code);
    expect(error.message).toContain(words);
    expect(error.message).not.toContain("\n");
  });

  test("that is not there is refused", async () => {
    await using opened = open(good, { path: join(directory.path, "nothing.ts") });
    expect((await failureOf(() => opened.backend.load(never))).code).toBe("BACKEND_NOT_FOUND");
  });

  test.each([
    ["waits for ever", "await new Promise(() => {});"],
    ["blocks", "while (true) {}"],
  ])("that %s at its top level is given up", async (_name, source) => {
    await using opened = open(source, { loadWithinMs: 700 });
    const started = performance.now();
    const error = await failureOf(() => opened.backend.load(never));
    expect([error.code, error.message.includes("0.7 s")]).toEqual(["BACKEND_TIMEOUT", true]);
    await opened.backend.close();
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});

describe("a backend that misbehaves while it answers", () => {
  test("quotes its errors only where the prompt is no secret", async () => {
    const source = backendWith("generate: ({ prompt }: { prompt: string }) => { throw new Error('bad ' + prompt); }");
    await using silent = open(source);
    const error = await failureOf(() => silent.backend.generate(ask(canary), { signal: never }));
    expect(error.code).toBe("BACKEND_FAILED");
    expect(JSON.stringify([error, silent.entries, error.message])).not.toContain(canary);
    expect(silent.backend.health().status).toBe("degraded");
    await using open_ = open(source, { quoteErrors: true });
    const quoted = await failureOf(() => open_.backend.generate(ask("trial"), { signal: never }));
    expect(quoted.message).toContain("bad trial");
  });

  test("and prints the prompt: it gets into no log", async () => {
    await using opened = open(
      backendWith(
        "generate: ({ prompt }: { prompt: string }) => { console.error(prompt); console.log(prompt); return 'ok'; }",
      ),
    );
    await opened.backend.generate(ask(canary), { signal: never });
    await opened.backend.close();
    expect(JSON.stringify(opened.entries)).not.toContain(canary);
  });

  test("and gives no text", async () => {
    await using opened = open(backendWith("generate: () => 5"));
    const error = await failureOf(() => opened.backend.generate(ask("x"), { signal: never }));
    expect(error.code).toBe("BACKEND_SHAPE_INVALID");
  });

  test("and ends its process loses that job only", async () => {
    await using opened = open(
      backendWith(
        "generate: ({ prompt }: { prompt: string }) => { if (prompt === 'die') process.exit(9); return prompt; }",
      ),
    );
    const error = await failureOf(() => opened.backend.generate(ask("die"), { signal: never }));
    expect([error.code, opened.backend.health().status]).toEqual(["BACKEND_CRASHED", "degraded"]);
    expect((await opened.backend.generate(ask("live"), { signal: never })).text).toBe("live");
    expect(opened.backend.health().status).toBe("healthy");
  });

  test("and ignores that it was aborted is killed, and started again", async () => {
    await using opened = open(
      backendWith("generate: ({ prompt }: { prompt: string }) => { while (prompt === 'spin') {} return prompt; }"),
    );
    await opened.backend.load(never);
    const controller = new AbortController();
    const spinning = opened.backend.generate(ask("spin"), { signal: controller.signal });
    const reason = new Error("deadline");
    setTimeout(() => controller.abort(reason), 100);
    await expect(spinning).rejects.toBe(reason);
    expect((await opened.backend.generate(ask("next"), { signal: never })).text).toBe("next");
    expect(opened.entries.filter(({ reason: how }) => how === "signal SIGKILL")).toHaveLength(1);
  });

  test("and heeds its signal is not killed", async () => {
    await using opened = open(
      backendWith(
        "generate: ({ prompt }: { prompt: string }, { signal }: { signal: AbortSignal }) => prompt === 'wait' ? new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))) : prompt",
      ),
    );
    await opened.backend.load(never);
    const controller = new AbortController();
    const waiting = opened.backend.generate(ask("wait"), { signal: controller.signal });
    setTimeout(() => controller.abort(new Error("stop")), 50);
    await expect(waiting).rejects.toThrow("stop");
    expect((await opened.backend.generate(ask("next"), { signal: never })).text).toBe("next");
    expect(opened.entries.filter(({ message }) => message.includes("is ready"))).toHaveLength(1);
  });

  test("is asked with its probe", async () => {
    await using sick = open(backendWith("generate: () => '', probe: () => false"));
    expect((await failureOf(() => sick.backend.warm("upper-1", never))).code).toBe("BACKEND_UNAVAILABLE");
    await using slow = open(backendWith("generate: () => '', probe: () => new Promise(() => {})"), {
      loadWithinMs: 1000,
    });
    expect((await failureOf(() => slow.backend.warm("upper-1", never))).code).toBe("BACKEND_TIMEOUT");
    await using well = open(backendWith("generate: () => '', probe: () => undefined"));
    await well.backend.warm("upper-1", never);
    expect(well.backend.health()).toEqual({ status: "healthy", detail: "" });
  });

  test("gets no secret from the environment", async () => {
    process.env["GROQ_API_KEY"] = canary;
    process.env["BLF_KEY_PASSWORD"] = canary;
    try {
      await using opened = open(backendWith("generate: () => JSON.stringify(process.env)"));
      const { text } = await opened.backend.generate(ask("x"), { signal: never });
      expect(text).not.toContain(canary);
      expect(text).not.toContain("BLF_");
    } finally {
      delete process.env["GROQ_API_KEY"];
      delete process.env["BLF_KEY_PASSWORD"];
    }
  });
});

describe("a node with custom backends", () => {
  test("offers their models once it has loaded them, and answers with them", async () => {
    using data = tempDirectory();
    const path = module(good);
    const load = (flags = {}) =>
      loadConfig({ env: { BLF_CONFIG_DIR: data.path }, flags: { custom_backends: [path], ...flags } }).config;
    const { log } = recordingLogger();
    expect(offeredModels(load())).toEqual([]);
    await describeCustomBackends(load(), log, systemClock);
    expect(readCatalogue(data.path)).toEqual({ [path]: { name: "upper", models: ["upper-1", "upper-2"] } });
    expect(offeredModels(load())).toEqual(["upper-1", "upper-2"]);
    const inference = createInference(load({ supported_model_ids: ["upper-2"] }), log, systemClock);
    expect(inference.models()).toEqual(["upper-2"]);
    const answer = await inference.generate(ask("x", "upper-2"), { signal: never });
    expect([answer.text, inference.describe()[0]?.backend]).toEqual(["upper-2:X", "upper"]);
    await inference.close();
    const another = module(good.replace(`"upper"`, `"other"`));
    const both = load({ custom_backends: [path, another] });
    await describeCustomBackends(both, log, systemClock);
    expect((await failureOf(() => createInference(both, log, systemClock))).code).toBe("MODEL_AMBIGUOUS");
    expect(readdirSync(data.path)).toEqual(["backends.json"]);
  });
});
