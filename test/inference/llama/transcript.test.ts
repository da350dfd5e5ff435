import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import type { LlamaContext } from "node-llama-cpp";
import { type Lab, nodeSetting, openLab } from "../../../src/inference/determinism/lab.ts";
import { generateText } from "../../../src/inference/llama/generate.ts";
import { verifyTranscript } from "../../../src/inference/llama/transcript.ts";
import { failureOf, never, recordingLogger, temporaryDirectory } from "../fixture.ts";

setDefaultTimeout(120_000);

let directory: ReturnType<typeof temporaryDirectory>;
let words: Subject;
let anything: Subject;
type Subject = { lab: Lab; context: LlamaContext };

async function open(path: string): Promise<Subject> {
  const lab = await openLab({ path, gpuLayers: 0, threads: 1, log: recordingLogger().log, signal: never });
  return { lab, context: await lab.createContext(nodeSetting(1)) };
}

beforeAll(async () => {
  directory = temporaryDirectory();
  words = await open(directory.model("words.gguf", { type: "q8_0" }));
  anything = await open(directory.model("anything.gguf", { type: "q8_0", says: "anything", seed: 7 }));
});
afterAll(async () => {
  await words.lab.close();
  await anything.lab.close();
  directory.remove();
});

const requestOf = ({ lab, context }: Subject, prompt: string, maxTokens: number) => ({
  model: lab.model,
  context,
  contextSize: lab.contextSize,
  maxTokens,
  prompt,
  signal: never,
});

const prompts = Array.from({ length: 12 }, (_, index) => `Question ${index * 7919}: the river and the stone`);

test("the model's own answers are confirmed, most of them by the pass alone", async () => {
  const methods: string[] = [];
  for (const prompt of prompts) {
    const request = requestOf(words, prompt, 40);
    const { text } = await generateText(request);
    const verified = await verifyTranscript({ ...request, output: text });
    expect([verified.agrees, verified.departure, verified.outputTokens]).toEqual([true, null, 40]);
    expect(verified.doubt === null).toBe(verified.method === "prefill");
    expect(verified.decodingMs === null).toBe(verified.method === "prefill");
    methods.push(verified.method);
  }
  expect(methods.filter((method) => method === "prefill").length).toBeGreaterThan(prompts.length / 2);
});

test("answers of any bytes, ended or cut, are confirmed too, whatever it takes", async () => {
  const reasons = new Set<string>();
  for (const prompt of prompts) {
    const request = requestOf(anything, prompt, 60);
    const { text, finishReason } = await generateText(request);
    reasons.add(finishReason);
    expect((await verifyTranscript({ ...request, output: text })).agrees).toBe(true);
  }
  expect(reasons.size).toBe(2);
});

test("an answer that was changed, cut or prolonged is denied, with the place and what the model says there", async () => {
  for (const prompt of prompts.slice(0, 4)) {
    const request = requestOf(words, prompt, 40);
    const { text } = await generateText(request);
    const half = text.slice(0, text.indexOf(" ", text.length / 2));
    const changed = `${half} never${text.slice(half.length)}`;
    for (const [output, from] of [
      [changed, half.length],
      [half, half.length],
      [`${text}\n`, text.length],
      ["", 0],
    ] as const) {
      const verified = await verifyTranscript({ ...request, output });
      expect([verified.agrees, verified.method]).toEqual([false, "decoding"]);
      const { character, claimed, model } = verified.departure!;
      // "never" may begin as the word in its place does.
      expect([character >= from, character < from + 4]).toEqual([true, true]);
      expect(output.slice(0, character)).toBe(text.slice(0, character));
      expect([output.slice(character, character + 60), text.slice(character, character + 60)]).toEqual([
        claimed,
        model,
      ]);
    }
  }
});

test("decoding comes on top when it is asked for, and decides where answers end at texts", async () => {
  const request = requestOf(words, prompts[0]!, 24);
  const { text } = await generateText(request);
  const both = await verifyTranscript({ ...request, output: text }, { alwaysDecode: true });
  expect([both.agrees, both.prefillMs !== null, both.decodingMs !== null]).toEqual([true, true, true]);
  const stop = [text.split(" ")[5]!];
  const stopped = await generateText({ ...request, stop });
  expect(stopped.text.length).toBeLessThan(text.length);
  const verified = await verifyTranscript({ ...request, stop, output: stopped.text });
  expect([verified.agrees, verified.method, verified.doubt]).toEqual([true, "decoding", "stop texts"]);
  expect((await verifyTranscript({ ...request, stop, output: text })).agrees).toBe(false);
});

test("prompts that no job could have are refused, and an abort is heard", async () => {
  const request = requestOf(words, "the ".repeat(3000), 8);
  expect(await failureOf(() => verifyTranscript({ ...request, output: "x" }))).toMatchObject({
    code: "MODEL_PROMPT_TOO_LONG",
  });
  const signal = AbortSignal.abort(new Error("enough"));
  const aborted = verifyTranscript({ ...requestOf(words, "the", 8), output: "stone", signal });
  expect(aborted).rejects.toThrow("enough");
  await aborted.catch(() => {});
});
