import { randomBytes } from "node:crypto";
import type { Hex } from "viem";
import { readKeyHandles } from "../../src/chain/prompt-key-store.ts";
import { createContentKey } from "../../src/crypto/blob.ts";
import { outputKeyJobId } from "../../src/crypto/commitment.ts";
import { joinKey, splitKey } from "../../src/crypto/key-halves.ts";
import type { RequesterContext } from "../../src/requester/context.ts";
import { type InferResult, infer } from "../../src/requester/infer.ts";
import type { CanaryNode } from "./node.ts";
import type { Canary } from "./spellings.ts";

/** A prompt on its way through the network, with what must not be found of it. */
export type CanaryJob = {
  taskId: Hex;
  secrets: Canary[];
  result: Promise<InferResult | undefined>;
  /** The requester loses its interest. */
  abandon(): void;
};

export type AskOptions = {
  /** What the model is asked to do; the rest of the prompt is unique. */
  words?: string;
  /** Damages the encrypted prompt before it is uploaded. */
  tamper?: boolean;
  /** Who may read the prompt's key, if not the quorum. */
  allowOnly?: Hex;
};

/** Buys a job of a leader and a verifier, with a prompt and a key that are nowhere else. */
export function ask(
  requester: RequesterContext,
  quorum: [CanaryNode, CanaryNode],
  modelId: string,
  { words = "say something", tamper = false }: AskOptions = {},
): CanaryJob {
  const prompt = `canary-${randomBytes(12).toString("hex")} ${words}, “für mich” & "you" 100%\n${"and then some more of it ".repeat(4)}`;
  const taskId = randomBytes(32);
  const key = createContentKey();
  const secrets: Canary[] = [...keySecrets("the prompt's key", key)];
  // The requester draws a task's id first and then the prompt's key: here the test chooses both, so that it can look for them.
  const given = [taskId, key.slice()];
  const random: RequesterContext["random"] = (length) => {
    const bytes = requester.random(length);
    if (length === 32) bytes.set(given.shift() ?? bytes);
    return bytes;
  };
  const [leader, verifier] = quorum.map(({ address }) => address) as [Hex, Hex];
  const client: RequesterContext["client"] = {
    ...requester.client,
    quorumPreview: async () => ({ leader, verifiers: [verifier] }),
    uploadPrompt: (blob, signal) => {
      if (tamper) blob[blob.length - 1]! ^= 1;
      return requester.client.uploadPrompt(blob, signal);
    },
  };
  secrets.push({ name: "the prompt", value: prompt }, { name: "the prompt's mark", value: prompt.slice(0, 31) });
  const interest = new AbortController();
  const parameters = {
    prompt,
    modelId,
    verifierCount: 1,
    currency: "blind" as const,
    signal: AbortSignal.any([interest.signal, AbortSignal.timeout(90_000)]),
  };
  const id: Hex = `0x${taskId.toString("hex")}`;
  const result = infer({ ...requester, random, client }, parameters).then(
    async (answered) => {
      secrets.push({ name: "the answer", value: answered.answer.trim() });
      secrets.push({ name: "the answer's beginning", value: answered.answer.trim().slice(0, 40) });
      const handles = await readKeyHandles(requester.chain, requester.keyStore, outputKeyJobId(id));
      const outputKey = joinKey(
        await requester.cofhe.decryptKey(handles, AbortSignal.any([interest.signal, AbortSignal.timeout(20_000)])),
      );
      secrets.push(...keySecrets("the output's key", outputKey));
      return answered;
    },
    () => undefined,
  );
  // Whoever waits for it hears of an answer whose key cannot be read; a job that nobody waits for may outlive the network.
  result.catch(() => {});
  return { taskId: id, secrets, result, abandon: () => interest.abort() };
}

function keySecrets(name: string, key: Uint8Array): Canary[] {
  const { high, low } = splitKey(key);
  const halves = Object.entries({ high, low }).flatMap(([half, value]) => [
    { name: `${name}, ${half} half in decimal`, value: value.toString() },
    { name: `${name}, ${half} half in hex`, value: value.toString(16) },
    { name: `${name}, ${half} half`, value: Buffer.from(value.toString(16).padStart(32, "0"), "hex") },
  ]);
  return [{ name, value: key }, ...halves];
}
