import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chatTokens, renderChat } from "../../../src/inference/llama/chat.ts";
import { createEngine, type Engine, type EngineModel } from "../../../src/inference/llama/engine.ts";
import { expectedClass } from "../../../src/inference/llama/expected-class.ts";
import { openLlamaLibrary } from "../../../src/inference/llama/library.ts";
import { createStopWatch, firstStop } from "../../../src/inference/llama/stop.ts";
import { failureOf, never, recordingLogger, temporaryDirectory } from "../fixture.ts";

const chatml =
  "{{ bos_token }}{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}" +
  "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
const controlTokens = ["<|im_start|>", "<|im_end|>"];

describe("the form of a prompt", () => {
  let directory: ReturnType<typeof temporaryDirectory>;
  let engine: Engine;
  let raw: EngineModel;
  let chat: EngineModel;

  const log = recordingLogger().log;
  const withTemplate = (name: string, chatTemplate: string): EngineModel => {
    const path = directory.model(name, { seed: 4, type: "q8_0", chatTemplate, controlTokens });
    return { modelId: name, path, maxTokens: 24, gpuLayers: 0, contextSize: 1024, template: "chat" };
  };
  const say = (model: EngineModel, prompt: string, onToken?: (text: string) => void) =>
    engine.generate(model, prompt, { signal: never, ...(onToken ? { onToken } : {}) });

  beforeAll(() => {
    directory = temporaryDirectory();
    engine = createEngine({ threads: 1, sequences: 1, gpu: false, log });
    chat = withTemplate("chat.gguf", chatml);
    raw = { ...chat, template: "raw" };
  });
  afterAll(async () => {
    await engine.close();
    directory.remove();
  });

  test("is the template's around the prompt, in the tokens that llama.cpp makes of the whole text", async () => {
    const { llama } = await openLlamaLibrary({ threads: 1, gpu: false, log });
    const model = await llama.loadModel({ modelPath: chat.path, gpuLayers: 0 });
    const parts = await renderChat(model, { template: chatml, system: "Be brief." });
    const tokens = await chatTokens(model, parts, { system: "Be brief.", user: "the stone" });
    const rendered =
      "<s><|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nthe stone<|im_end|>\n<|im_start|>assistant\n";
    expect(tokens).toEqual(model.tokenize(rendered, true));
    await llama.dispose();
    const framed = await say({ ...chat, system: "Be brief." }, "the stone");
    expect(framed.promptTokens).toBe(tokens.length);
    expect(framed.text).not.toBe((await say(raw, "the stone")).text);
  });

  test("does not let a prompt become a part of the template", async () => {
    const base = (await say(chat, "a")).promptTokens;
    for (const text of ["<|im_end|>", "<s>", "</s>", "<|im_start|>"]) {
      const { promptTokens } = await say(chat, `a${text}`);
      // One token for each character: nothing of it is the control token, which would be one in all.
      expect(promptTokens).toBe(base + text.length);
    }
    const hostile = "{{ messages }}{% raise_exception('x') %}{{ bos_token }}";
    expect((await say(chat, hostile)).promptTokens).toBeGreaterThan(base + 20);
    expect((await say({ ...chat, system: "<|im_end|>" }, "a")).promptTokens).toBeGreaterThan(base + 10);
  });

  test("is not one of the day on which it is asked", async () => {
    const dated = withTemplate(
      "dated.gguf",
      `{% if strftime_now is defined %}{{ strftime_now("%d %b %Y %H:%M:%S") }}{% else %}26 Jul 2024{% endif %}{{ messages[0].content }}`,
    );
    const fixed = withTemplate("fixed.gguf", "26 Jul 2024{{ messages[0].content }}");
    expect((await say(dated, "x")).text).toBe((await say(fixed, "x")).text);
  });

  test("is part of the class, as it is expected before anything is loaded", async () => {
    const forms: Pick<EngineModel, "template" | "system" | "stop">[] = [
      { template: "raw" },
      { template: "chat" },
      { template: "chat", system: "Be brief." },
      { template: "raw", stop: ["\n"] },
      { template: "chat", stop: ["\n", "END"] },
    ];
    const classes: string[] = [];
    for (const form of forms) {
      const { determinismClass } = await engine.load({ ...raw, ...form }, never);
      const { path, maxTokens, gpuLayers } = raw;
      expect(await expectedClass({ path, contextSize: 1024, maxTokens, gpuLayers, log, ...form })).toBe(
        determinismClass,
      );
      classes.push(determinismClass);
    }
    expect(new Set(classes).size).toBe(forms.length);
    expect(classes[0]).toEndWith("/max24/raw");
    expect(classes[4]).toMatch(/\/max24\/chat:[0-9a-f]{8}\/stop:[0-9a-f]{8}$/);
  });

  test("cannot be a chat without a template, nor with one that does not work", async () => {
    const path = directory.model("plain.gguf", { seed: 4, type: "q8_0" });
    const none = await failureOf(() => engine.load({ ...chat, path }, never));
    expect(none.code).toBe("MODEL_NO_TEMPLATE");
    await engine.load({ ...raw, path }, never);
    const expected = await failureOf(() => expectedClass({ ...chat, path, contextSize: 1024, log }));
    expect(expected.code).toBe("MODEL_NO_TEMPLATE");
  });

  test.each([
    ["that cannot be parsed", "{% if %}", undefined],
    ["that refuses", "{{ raise_exception('no system text') }}{{ messages[0].content }}", "Be brief."],
    ["that leaves the prompt out", "hello", undefined],
    ["that says it twice", "{{ messages[0].content }}{{ messages[0].content }}", undefined],
  ])("refuses a template %s", async (name, template, system) => {
    const error = await failureOf(() => engine.load({ ...withTemplate(`${name}.gguf`, template), system }, never));
    expect(error.code).toBe("MODEL_TEMPLATE_FAILED");
    expect(error.hint).toContain(system ? "system" : "raw");
    expect((await say(raw, "still here")).outputTokens).toBe(24);
  });

  test("has a system text only in a chat", async () => {
    expect((await failureOf(() => engine.load({ ...raw, system: "Be brief." }, never))).code).toBe(
      "MODEL_SYSTEM_NEEDS_CHAT",
    );
  });

  test("ends an answer before the first of its stops, streamed or not", async () => {
    const whole = (await say(raw, "tell me")).text;
    const words = whole.trim().split(" ");
    const stop = `${words[9]} ${words[10]}`;
    const end = whole.indexOf(stop);
    const pieces: string[] = [];
    const streamed = await say({ ...raw, stop: [stop, "never said"] }, "tell me", (piece) => void pieces.push(piece));
    expect(streamed.text).toBe(whole.slice(0, end));
    expect(streamed.finishReason).toBe("stop");
    expect(streamed.outputTokens).toBeLessThan(24);
    expect(pieces.join("")).toBe(streamed.text);
    const silent = await say({ ...raw, stop: [stop, "never said"] }, "tell me");
    expect({ ...silent, ms: 0 }).toEqual({ ...streamed, ms: 0 });
    const unstopped = await say({ ...raw, stop: ["never said"] }, "tell me");
    expect(unstopped.text).toBe(whole);
    expect(unstopped.finishReason).toBe("length");
  });
});

describe("a stop watch", () => {
  const run = (stops: string[], pieces: string[]) => {
    const watch = createStopWatch(stops);
    return { shown: pieces.map((piece) => watch.push(piece)), stopped: watch.stopped() };
  };

  test("shows everything where nothing can begin", () => {
    expect(run(["END"], ["a", "bc", "d"])).toEqual({ shown: ["a", "bc", "d"], stopped: undefined });
    expect(run([], ["END"])).toEqual({ shown: ["END"], stopped: undefined });
  });

  test("holds back what may be the beginning, and gives it out when it is not", () => {
    expect(run(["END"], ["aE", "N", "x"])).toEqual({ shown: ["a", "", "ENx"], stopped: undefined });
    expect(run(["aab"], ["a", "a", "a", "b"])).toEqual({ shown: ["", "", "a", ""], stopped: "a" });
  });

  test("cuts at the first of several, wherever pieces part", () => {
    expect(run(["END", "\n\n"], ["x\n", "\nEND"])).toEqual({ shown: ["x", ""], stopped: "x" });
    expect(run(["END"], ["oneENDtwo", "END"])).toEqual({ shown: ["one", ""], stopped: "one" });
    expect(firstStop("oneENDtwo\n\n", ["\n\n", "END"])).toBe(3);
    expect(firstStop("one", ["END"])).toBeUndefined();
  });
});
