import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { parseEther } from "viem";
import * as z from "zod";
import type { JobSnapshot } from "../../src/devnet/coordinator/views.ts";
import { openDevnetRequester } from "../../src/devnet/requester.ts";
import { heartbeatPeriodMs } from "../../src/node/loops/heartbeat.ts";
import type { RequesterContext } from "../../src/requester/context.ts";
import { type InferResult, infer } from "../../src/requester/infer.ts";
import { executable, isBuilt } from "./executable.ts";
import { logOf } from "./log-lines.ts";
import { log, startNetwork, type TestNetwork, type TestNode } from "./network.ts";

const quantised = "tiny-q8";
/** llama.cpp would compute it differently in joint steps, so that the engine lets its sequences take turns. */
const plain = "tiny-f16";
const sizes = { dim: 128, layers: 4, ff: 256 };

/** From a few tokens to more than 300: several of the engine's batches of 32, and attention beyond its first 256 tokens. */
const words = "the quiet river and the bright stars near a long path";
const repeated = (times: number, ending: string) => `${Array(times).fill(words).join(" ")} ${ending}`;
const prompts = [
  "who is there?",
  repeated(1, "in the morning"),
  repeated(3, "under cold water"),
  "light",
  repeated(12, "by the green field"),
  repeated(20, "deep in the north"),
  repeated(30, "and still slow"),
  repeated(6, "as early as it is open"),
];

/** So late may a heartbeat be that the coordinator's clock of whole seconds and a busy machine are no fault. */
const toleranceMs = 10_000;

describe.skipIf(!isBuilt)("eight jobs at once", () => {
  let network: TestNetwork;
  let requesters: RequesterContext[] = [];
  let heartbeats: ReturnType<typeof watchHeartbeats>;
  /** The answers of the quantised model, one job after the other. */
  const oneByOne: string[] = [];
  /** Those of each time that all prompts were sent at once. */
  const atOnce: InferResult[][] = [];
  let plainAtOnce: InferResult[] = [];
  const jobs: JobSnapshot[] = [];

  const ask = (index: number, modelId: string) =>
    infer(requesters[index]!, {
      prompt: prompts[index]!,
      modelId,
      verifierCount: 2,
      currency: "blind",
      signal: AbortSignal.timeout(120_000),
    });

  const askAll = async (modelId: string) => {
    const results = await Promise.all(prompts.map((_, index) => ask(index, modelId)));
    jobs.push(...(await Promise.all(results.map(({ taskId }) => network.settled(taskId)))));
    return results;
  };

  beforeAll(async () => {
    const node = { BLF_ENGINE_SEQUENCES: "4", BLF_MAX_CONCURRENT_JOBS: "8" };
    network = await startNetwork({
      executable,
      nodes: [node, node, node],
      models: { [quantised]: { ...sizes, type: "q8_0" }, [plain]: { ...sizes, type: "f16" } },
      maxTokens: 96,
    });
    heartbeats = watchHeartbeats(network);
    requesters = await Promise.all(prompts.map(() => openRequester(network)));
    for (const index of prompts.keys()) oneByOne.push((await ask(index, quantised)).answer);
    // Until each node has sent a heartbeat meanwhile.
    const before = heartbeats.counts();
    do atOnce.push(await askAll(quantised));
    while (heartbeats.counts().some((count, index) => count === before[index]));
    plainAtOnce = await askAll(plain);
    await heartbeats.stop();
  }, 300_000);

  afterAll(async () => {
    await heartbeats?.stop();
    for (const requester of requesters) await requester.cofhe.close();
    await network?.stop();
  }, 30_000);

  test("are accepted by full quorums with three equal commitments", () => {
    expect(jobs).toHaveLength((atOnce.length + 1) * prompts.length);
    const everybody = network.nodes.map(({ address }) => address as string).sort();
    for (const job of jobs) {
      expect(job.status).toBe("ACCEPTED");
      expect(job.nodes.map(({ address }) => address as string).sort()).toEqual(everybody);
      expect(job.nodes.map(({ role }) => role)).toEqual(["leader", "verifier", "verifier"]);
      expect(job.commitment).toMatch(/^(0x)?[0-9a-f]{64}$/);
      expect(job.nodes.map(({ commitment }) => commitment)).toEqual(Array(3).fill(job.commitment));
      expect(job.replaced).toEqual([]);
    }
  });

  test("say what they say one by one", () => {
    expect(new Set(oneByOne).size).toBe(prompts.length);
    for (const results of atOnce) expect(results.map(({ answer }) => answer)).toEqual(oneByOne);
  });

  test("say what a process of its own says that does nothing else, also where sequences take turns", async () => {
    const alone = [];
    for (const prompt of prompts) {
      const args = ["models", "test", plain, "--prompt", prompt, "--json"];
      const printed = await network.nodes[0]!.command(args, { BLF_ENGINE_SEQUENCES: "1" });
      alone.push(generationSchema.parse(JSON.parse(printed)));
    }
    expect(plainAtOnce.map(({ answer }) => answer)).toEqual(alone.map(({ text }) => text));
    const lengths = alone.map(({ promptTokens }) => promptTokens);
    expect(Math.min(...lengths)).toBeLessThan(8);
    expect(Math.max(...lengths)).toBeGreaterThan(300);
  }, 60_000);

  test("are generated side by side", () => {
    for (const node of network.nodes) expect(mostAtATime(node)).toBeGreaterThan(1);
  });

  test("delay no heartbeat", async () => {
    const until = await heartbeats.stop();
    for (const [index, node] of network.nodes.entries()) {
      const times = heartbeats.times[index]!;
      expect(times.length).toBeGreaterThan(1);
      const gaps = [...times.slice(1), until].map((time, after) => time - times[after]!);
      expect(Math.max(...gaps)).toBeLessThan(heartbeatPeriodMs + toleranceMs);
      const { loops } = statusSchema.parse(await (await fetch(`${node.statusUrl}/status`)).json());
      expect(loops.find(({ name }) => name === "heartbeat")).toMatchObject({ failures: 0 });
    }
  });
});

const generationSchema = z.object({ text: z.string(), promptTokens: z.number() });
const nodeSchema = z.object({ metrics: z.object({ last_heartbeat: z.number() }) });
const statusSchema = z.object({ loops: z.array(z.object({ name: z.string(), failures: z.number() })) });

function openRequester({ devnet }: TestNetwork): Promise<RequesterContext> {
  return openDevnetRequester({ devnet, credits: parseEther("10"), log, signal: AbortSignal.timeout(60_000) });
}

/** Asks the coordinator several times a second when it last heard of each node. All times in milliseconds since the epoch. */
function watchHeartbeats({ devnet, nodes }: TestNetwork) {
  const times = nodes.map((): number[] => []);
  let isStopped = false;
  const run = async () => {
    while (!isStopped) {
      for (const [index, { address }] of nodes.entries()) {
        const answer = await devnet.coordinator.icl.request(`/v1/nodes/${address}`);
        const time = nodeSchema.parse(await answer.json()).metrics.last_heartbeat * 1000;
        if (times[index]!.at(-1) !== time) times[index]!.push(time);
      }
      await Bun.sleep(250);
    }
    return Date.now();
  };
  const finished = run();
  return {
    /** Of each node, when it was heard of. */
    times,
    counts: () => times.map(({ length }) => length),
    /** Ends the watch, and tells when it ended. */
    stop: () => {
      isStopped = true;
      return finished;
    },
  };
}

/** How many generations ran on a node at the same time, at most, as its log tells their ends and durations. */
function mostAtATime(node: TestNode): number {
  const spans = logOf(node, "generated").map(({ time, ms }) => ({
    from: Date.parse(time) - ms!,
    to: Date.parse(time),
  }));
  return Math.max(...spans.map(({ from }) => spans.filter((other) => other.from <= from && from < other.to).length));
}
