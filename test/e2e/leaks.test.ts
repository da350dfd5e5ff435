import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { createContentKey } from "../../src/crypto/blob.ts";
import { splitKey } from "../../src/crypto/key-halves.ts";
import { type InferResult, infer } from "../../src/requester/infer.ts";
import { executable, isBuilt } from "./executable.ts";
import { modelId, password, startNetwork, type TestNetwork, until } from "./network.ts";

describe.skipIf(!isBuilt)("what the nodes wrote", () => {
  const prompt = "canary-prompt-9f2c41d7 tell me of the quiet river";
  let network: TestNetwork;
  let result: InferResult;
  let promptKey: Uint8Array;

  beforeAll(async () => {
    network = await startNetwork({ executable, nodes: [{}, {}, {}] });
    promptKey = createContentKey();
    let drawn = 0;
    // The second draw of 32 bytes is the prompt's key (after the task id): here the test chooses it, so that it can look for it.
    const random = (length: number) => {
      const bytes = network.requester.random(length);
      if (length === 32 && ++drawn === 2) bytes.set(promptKey);
      return bytes;
    };
    const parameters = {
      prompt,
      modelId,
      verifierCount: 2,
      currency: "blind" as const,
      signal: AbortSignal.timeout(60_000),
    };
    const key = promptKey.slice();
    result = await infer({ ...network.requester, random }, parameters);
    promptKey = key;
    await network.settled(result.taskId);
  }, 120_000);

  afterAll(() => network.stop());

  const everything = async (): Promise<{ where: string; text: string }[]> => {
    const found: { where: string; text: string }[] = [];
    for (const node of network.nodes) {
      found.push({ where: `output of ${node.address}`, text: node.output() });
      for (const route of ["/status", "/metrics", "/readyz?verbose", "/livez"])
        found.push({ where: route, text: await (await fetch(node.statusUrl + route)).text() });
      for (const path of filesBelow(node.directory)) found.push({ where: path, text: readFileSync(path, "latin1") });
      const pid = node.process.pid;
      for (const file of ["cmdline"])
        found.push({ where: `/proc/${file}`, text: readFileSync(`/proc/${pid}/${file}`, "latin1") });
      for (const child of childrenOf(pid))
        for (const file of ["cmdline", "environ"])
          found.push({ where: `engine's ${file}`, text: readFileSync(`/proc/${child}/${file}`, "latin1") });
    }
    return found;
  };

  test("holds journal, log and status of the job", async () => {
    await until("every node has written the job's end", () =>
      network.nodes.every((node) => node.output().includes('"job done"')),
    );
    const places = await everything();
    const journals = places.filter(({ where }) => where.includes("journal.db"));
    expect(journals.some(({ text }) => text.includes(result.taskId))).toBe(true);
    expect(places.filter(({ where }) => where === "engine's environ").length).toBe(3);
  });

  test("holds neither prompt nor answer nor any key", async () => {
    const { high, low } = splitKey(promptKey);
    const secrets: Record<string, string> = {
      prompt,
      promptStart: prompt.slice(0, 21),
      answer: result.answer.trim(),
      answerStart: result.answer.trim().slice(0, 24),
      password,
      promptKeyHex: Buffer.from(promptKey).toString("hex"),
      promptKeyRaw: Buffer.from(promptKey).toString("latin1"),
      promptKeyHigh: high.toString(),
      promptKeyLow: low.toString(),
      promptKeyHighHex: high.toString(16),
    };
    for (const [index, node] of network.nodes.entries()) {
      secrets[`privateKey${index}`] = node.privateKey.slice(2);
      secrets[`privateKeyRaw${index}`] = Buffer.from(node.privateKey.slice(2), "hex").toString("latin1");
    }
    const leaks: string[] = [];
    for (const { where, text } of await everything())
      for (const [name, secret] of Object.entries(secrets))
        if (text.includes(secret)) leaks.push(`${name} in ${where}`);
    expect(leaks).toEqual([]);
  });
});

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isFile());
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
}
