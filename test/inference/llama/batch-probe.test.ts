import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import type { LlamaContext, LlamaContextSequence, Token } from "node-llama-cpp";
import { type Lab, nodeSetting, openLab } from "../../../src/inference/determinism/lab.ts";
import { probeWidth } from "../../../src/inference/llama/batch-probe.ts";
import { createDispatch } from "../../../src/inference/llama/dispatch.ts";
import { freshSequence } from "../../../src/inference/llama/sequence.ts";
import { never, recordingLogger, temporaryDirectory } from "../fixture.ts";

setDefaultTimeout(120_000);

let directory: ReturnType<typeof temporaryDirectory>;
let lab: Lab;
beforeAll(async () => {
  directory = temporaryDirectory();
  const path = directory.model("q8.gguf", { type: "q8_0" });
  lab = await openLab({ path, gpuLayers: 0, threads: 1, log: recordingLogger().log, signal: never });
});
afterAll(async () => {
  await lab.close();
  directory.remove();
});

type Probabilities = Map<Token, number>;

/** Probes a real context, whose sequences first show `look` what they found when several step together. */
async function probe(look: (found: Probabilities) => void): Promise<number> {
  const { model, contextSize } = lab;
  const dispatch = createDispatch();
  const context = await model.createContext({
    contextSize,
    ...nodeSetting(1),
    sequences: 4,
    batching: { itemPrioritizationStrategy: dispatch.strategy },
  });
  const seen = {
    totalSequences: context.totalSequences,
    get sequencesLeft() {
      return context.sequencesLeft;
    },
    getSequence: () => {
      const sequence = context.getSequence();
      const evaluate: LlamaContextSequence["controlledEvaluate"] = async (...parameters) => {
        const results = await sequence.controlledEvaluate(...parameters);
        if (dispatch.width > 1) for (const result of results) look(result!.next.probabilities!);
        return results;
      };
      return {
        controlledEvaluate: evaluate,
        evaluateWithoutGeneratingNewTokens: (tokens: Token[]) => sequence.evaluateWithoutGeneratingNewTokens(tokens),
        dispose: () => sequence.dispose(),
      };
    },
  } as unknown as LlamaContext;
  try {
    return await probeWidth({ model, context: seen, dispatch, contextSize, signal: never });
  } finally {
    await context.dispose();
  }
}

const isMeasured = process.platform === "linux" && process.arch === "x64";

test.skipIf(!isMeasured)("sequences that find the same beside others as alone go together", async () => {
  expect(await probe(() => {})).toBe(4);
});

test("one other bit, of the token that is the least likely of all, keeps sequences apart", async () => {
  const unlikely = await unlikeliest();
  const bits = new Float32Array(1);
  expect(
    await probe((found) => {
      if (!found.has(unlikely)) return;
      bits[0] = found.get(unlikely)!;
      new Uint32Array(bits.buffer)[0]! ^= 1;
      found.set(unlikely, bits[0]);
    }),
  ).toBe(1);
});

async function unlikeliest(): Promise<Token> {
  const context = await lab.createContext(nodeSetting(1));
  const sequence = await freshSequence(context, never);
  const generateNext = { probabilities: true, options: { temperature: 0 } };
  const [result] = await sequence.controlledEvaluate([[lab.model.tokens.bos!, { generateNext }]]);
  const all = [...result!.next.probabilities!];
  await context.dispose();
  return all.reduce((least, entry) => (entry[1] < least[1] ? entry : least))[0];
}
