import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Hex, parseEther } from "viem";
import { buildTinyModel } from "../../native/tiny-model.ts";
import { readKeyHandles, storeKey } from "../../src/chain/prompt-key-store.ts";
import { openText, sealText } from "../../src/crypto/blob.ts";
import { outputKeyJobId } from "../../src/crypto/commitment.ts";
import { joinKey, splitKey } from "../../src/crypto/key-halves.ts";
import type { JobSnapshot } from "../../src/devnet/coordinator/views.ts";
import { type Devnet, startDevnet } from "../../src/devnet/devnet.ts";
import { openDevnetRequester } from "../../src/devnet/requester.ts";
import { systemClock as clock } from "../../src/lib/clock.ts";
import { isRetryable } from "../../src/lib/errors.ts";
import { createLogger } from "../../src/lib/log.ts";
import { retry } from "../../src/lib/retry.ts";
import type { RequesterContext } from "../../src/requester/context.ts";
import { type Gate, startGate, storedKey } from "./gate.ts";
import { createVictim, type Victim } from "./node.ts";

export type Model = "mock" | "llama";

export const modelIds: Record<Model, string> = { mock: "mock-faults", llama: "tiny-faults" };

const log = createLogger({ level: "error", format: "text", clock, write: (line) => console.error(line) });

export type JobOrder = {
  quorum: Victim[];
  model: Model;
  prompt: string;
  /** Uploads something that nobody can open, so that each of the nodes fails. */
  isSpoiled?: boolean;
};

export type BoughtJob = { taskId: Hex; over: Promise<Ending> };

/** How the coordinator says that a job ended; "late" when it says nothing for longer than any deadline. */
export type Ending = "accepted" | "rejected" | "failed" | "replaced" | "late";

/** One devnet, and nodes of the compiled file that reach it through the gate. */
export type FaultWorld = {
  gate: Gate;
  /** Makes two nodes that serve this model; they are funded, attested, registered and staked, and do not run yet. */
  pair(model: Model): Promise<[Victim, Victim]>;
  /** Buys a job for this quorum, the leader first. */
  buy(job: JobOrder): Promise<BoughtJob>;
  snapshot(taskId: string): JobSnapshot;
  /** The answer as its buyer reads it: with the key whose handles are on chain. */
  readAnswer(taskId: string): Promise<string>;
  /** All transactions that store a key, mined so far: its id, how often. Those that failed count too. */
  storedKeys(): Promise<Map<string, number>>;
  stop(): Promise<void>;
};

/** Longer than a claim may take, in milliseconds. */
const longestMs = 330_000;

export async function startWorld(executable: string): Promise<FaultWorld> {
  const directory = mkdtempSync(join(tmpdir(), "blindference-faults-"));
  const path = join(directory, "tiny.gguf");
  writeFileSync(path, buildTinyModel({ seed: 5 }));
  const devnet = await startDevnet({ portBase: 0, clock, log });
  const gate = startGate(devnet.endpoints);
  const signal = AbortSignal.timeout(30_000);
  const requester = await openDevnetRequester({ devnet, credits: parseEther("9000"), log, signal });
  const endings = watchEndings(devnet);
  const patiently = <T>(action: () => Promise<T>) =>
    retry(action, { clock, attempts: 5, initialMs: 250, maxMs: 2000, random: Math.random, retryable: isRetryable });
  const serving: Record<Model, Record<string, string>> = {
    mock: { BLF_MOCK_MODEL_IDS: modelIds.mock },
    llama: { BLF_MODELS: JSON.stringify({ [modelIds.llama]: { path, max_tokens: 24 } }), BLF_ENGINE_THREADS: "1" },
  };
  const victims: Victim[] = [];
  let made = 0;
  const victim = async (model: Model): Promise<Victim> => {
    const name = `node-${++made}`;
    const variables = { ...devnet.variables, ...serving[model], ...gate.variables(name) };
    const node = await createVictim({ executable, directory, name, variables });
    victims.push(node);
    await devnet.fund(node.address);
    await node.command(["attest", "--mock", "--register", "--json"]);
    await node.command(["staking", "stake", "1000", "--json"]);
    return node;
  };
  const snapshot = (taskId: string): JobSnapshot => {
    const job = devnet.coordinator.jobs().find((candidate) => candidate.taskId === taskId);
    if (!job) throw new Error(`the coordinator does not know ${taskId}`);
    return job;
  };
  return {
    gate,
    snapshot,
    pair: (model) => Promise.all([victim(model), victim(model)]),
    buy: async (order) => {
      const taskId: Hex = `0x${Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("hex")}`;
      const over = endings.of(taskId);
      await buy(requester, { ...order, taskId, patiently });
      return { taskId, over };
    },
    readAnswer: (taskId) => patiently(() => readAnswer(requester, taskId, snapshot(taskId).outputCid!)),
    storedKeys: () => countStoredKeys(requester),
    stop: async () => {
      await Promise.all(victims.map((node) => node.stop()));
      await requester.cofhe.close();
      await gate.stop();
      await devnet.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function watchEndings(devnet: Devnet) {
  const waiting = new Map<string, (ending: Ending) => void>();
  const words: readonly string[] = ["accepted", "rejected", "failed", "replaced"];
  devnet.coordinator.events.subscribe(({ stage, taskId }) => {
    if (words.includes(stage)) waiting.get(taskId)?.(stage as Ending);
  });
  return {
    of: (taskId: string): Promise<Ending> => {
      const { promise, resolve } = Promise.withResolvers<Ending>();
      const timer = setTimeout(() => resolve("late"), longestMs).unref();
      waiting.set(taskId, resolve);
      void promise.then(() => {
        clearTimeout(timer);
        waiting.delete(taskId);
      });
      return promise;
    },
  };
}

async function readAnswer(requester: RequesterContext, taskId: string, outputCid: string): Promise<string> {
  const { chain, keyStore, cofhe, downloader } = requester;
  const handles = await readKeyHandles(chain, keyStore, outputKeyJobId(taskId));
  const key = joinKey(await cofhe.decryptKey(handles, AbortSignal.timeout(60_000)));
  return openText(key, await downloader.download(outputCid));
}

type Order = JobOrder & {
  taskId: Hex;
  patiently<T>(action: () => Promise<T>): Promise<T>;
};

/** Each step is repeated by itself: none of them may be done twice. */
async function buy(requester: RequesterContext, order: Order): Promise<void> {
  const { taskId, quorum, prompt, patiently } = order;
  const { address, client, cofhe, sender, keyStore, random } = requester;
  const key = random(32);
  const blob = order.isSpoiled ? random(100) : await sealText(key, prompt);
  const promptCid = await patiently(() => client.uploadPrompt(blob));
  const [encrypted] = await patiently(() => cofhe.encryptKeys([splitKey(key)], AbortSignal.timeout(60_000)));
  const encryptedKey = encrypted!;
  const stored = { store: keyStore, jobId: taskId, key: encryptedKey, allowed: quorum.map((node) => node.address) };
  const promptKeyStoreTx = await patiently(() => storeKey(sender, stored));
  const job = {
    userAddress: address,
    taskId,
    promptCid,
    modelId: modelIds[order.model],
    encryptedKey,
    promptKeyStoreTx,
    promptKeyStoreAddress: keyStore,
    promptLength: prompt.length,
    verifierCount: quorum.length - 1,
    currency: "blind",
  } as const;
  await patiently(() => client.submit(job));
}

async function countStoredKeys({ chain, keyStore }: RequesterContext): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  const last = await chain.client.getBlockNumber();
  for (let first = 0n; first <= last; first += 50n) {
    const numbers = Array.from({ length: 50 }, (_, index) => first + BigInt(index)).filter((number) => number <= last);
    const blocks = await Promise.all(
      numbers.map((blockNumber) => chain.client.getBlock({ blockNumber, includeTransactions: true })),
    );
    for (const { input, to } of blocks.flatMap(({ transactions }) => transactions)) {
      const id = to?.toLowerCase() === keyStore.toLowerCase() ? storedKey(input) : undefined;
      if (id !== undefined) counts.set(id, (counts.get(id) ?? 0) + 1);
    }
  }
  return counts;
}
