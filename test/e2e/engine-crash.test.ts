import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import * as z from "zod";
import { type InferResult, infer } from "../../src/requester/infer.ts";
import { executable, isBuilt } from "./executable.ts";
import { logOf } from "./log-lines.ts";
import { modelId, startNetwork, type TestNetwork, type TestNode, until } from "./network.ts";

type Role = "leader" | "verifier";

/** A job whose engine was killed on one node while it generated. */
type Crash = {
  taskId: string;
  engine: number;
  answer: Promise<InferResult | undefined>;
};

describe.skipIf(process.platform !== "linux" || !isBuilt)("an engine that dies in the middle of a job", () => {
  let network: TestNetwork;
  let node: TestNode;
  let others: [TestNode, TestNode];
  const given = new AbortController();

  beforeAll(async () => {
    network = await startNetwork({
      executable,
      nodes: [{}, {}, {}],
      // Slow enough to be met while it generates, on any machine.
      models: { [modelId]: { type: "q8_0", dim: 256, layers: 8, ff: 1024 } },
      maxTokens: 1024,
    });
    const [first, second, third] = network.nodes;
    node = first!;
    others = [second!, third!];
  }, 120_000);

  afterAll(async () => {
    given.abort();
    // The verifiers of a leader that fell silent go on waiting for it; only a second signal makes them stop.
    for (const { process } of network.nodes) process.kill("SIGTERM");
    const heeds = (node: TestNode) =>
      node.process.exitCode !== null || node.output().includes("a second signal aborts");
    await until("the nodes have heard the first signal", () => network.nodes.every(heeds));
    await network.stop();
  }, 30_000);

  const ask = (quorum: TestNode[], prompt: string) =>
    infer(network.withQuorum(quorum), {
      prompt,
      modelId,
      verifierCount: 2,
      currency: "blind",
      signal: AbortSignal.any([given.signal, AbortSignal.timeout(100_000)]),
    });

  /** Buys a job and kills the engine of `node` as soon as it works on it. */
  const crash = async (quorum: TestNode[], role: Role): Promise<Crash> => {
    const earlier = logOf(node, "job claimed").length;
    const engine = await until("the engine runs", () => engineOf(node));
    const answer = ask(quorum, "tell me of the quiet river").catch(() => undefined);
    const claimed = await until("the job is claimed", () => logOf(node, "job claimed")[earlier]);
    const taskId = claimed.jobId!;
    const last = role === "leader" ? ["take-output-key"] : ["decrypt-key", "download", "warm-model"];
    const isDone = (state: string) =>
      logOf(node, "step done").some((line) => line.jobId === taskId && line.state === state);
    await until("only the model is left to run", () => last.every(isDone));
    const before = cpuTicks(engine);
    await until("the engine generates", () => cpuTicks(engine) > before + 10);
    process.kill(engine, "SIGSEGV");
    return { taskId, engine, answer };
  };

  const expectFailure = async ({ taskId, engine }: Crash, role: Role) => {
    const failure = await until("the job has failed", () =>
      logOf(node, "job failed").find((line) => line.jobId === taskId),
    );
    expect(failure).toMatchObject({ role, code: "ENGINE_CRASHED" });
    expect(node.process.exitCode).toBeNull();
    expect((await fetch(`${node.statusUrl}/livez`)).status).toBe(200);
    expect(await jobOf(node, taskId)).toMatchObject({ role, state: "failed", failureCode: "ENGINE_CRASHED" });
    expect((await healthOf(node)).status).toBe("degraded");
    const restarted = await until("another engine runs", () => engineOf(node));
    expect(restarted).not.toBe(engine);
  };

  /** The next job works with everybody, and the one that crashed the engine was not tried a second time. */
  const expectNextJob = async ({ taskId }: Crash, quorum: TestNode[]) => {
    const next = await ask(quorum, "and of the bright stars");
    const job = await network.settled(next.taskId);
    expect(job.status).toBe("ACCEPTED");
    expect(job.nodes.map(({ address, agreed }) => [address, agreed])).toEqual(
      quorum.map(({ address }) => [address, true]),
    );
    expect((await healthOf(node)).status).toBe("healthy");
    expect(logOf(node, "job claimed").filter((line) => line.jobId === taskId)).toHaveLength(1);
    expect(await jobOf(node, taskId)).toMatchObject({ state: "failed", failureCode: "ENGINE_CRASHED" });
  };

  test("of a verifier: its job fails, the rest of the quorum answers, and the next job works", async () => {
    const lost = await crash([others[0], node, others[1]], "verifier");
    await expectFailure(lost, "verifier");
    const result = await lost.answer;
    expect(result?.taskId).toBe(lost.taskId as `0x${string}`);
    const job = network.devnet.coordinator.jobs().find(({ taskId }) => taskId === lost.taskId)!;
    expect(job.status).toBe("ACCEPTED");
    expect(job.nodes.find(({ address }) => address === node.address)).toMatchObject({
      state: "claimed",
      commitment: undefined,
    });
    await expectNextJob(lost, [others[0], node, others[1]]);
  }, 120_000);

  test("of a leader: its job fails, nothing is committed, and the next job works", async () => {
    const lost = await crash([node, ...others], "leader");
    await expectFailure(lost, "leader");
    const job = network.devnet.coordinator.jobs().find(({ taskId }) => taskId === lost.taskId)!;
    expect(job).toMatchObject({ status: "QUEUED", outputCid: undefined, commitment: undefined });
    await expectNextJob(lost, [node, ...others]);
  }, 120_000);

  test("is all that dies: the daemon has the process that it began with, and sends heartbeats", async () => {
    expect(node.process.exitCode).toBeNull();
    expect(logOf(node, "node ready")).toHaveLength(1);
    expect(logOf(node, "the engine's process ended by itself").map(({ reason }) => reason)).toEqual([
      "signal SIGSEGV",
      "signal SIGSEGV",
    ]);
    const { loops } = await statusOf(node);
    expect(loops.find(({ name }) => name === "heartbeat")).toMatchObject({ failures: 0 });
  });
});

const statusSchema = z.object({
  models: z.array(z.object({ id: z.string(), health: z.object({ status: z.string(), detail: z.string() }) })),
  loops: z.array(z.object({ name: z.string(), failures: z.number() })),
});

async function statusOf(node: TestNode) {
  return statusSchema.parse(await (await fetch(`${node.statusUrl}/status`)).json());
}

async function healthOf(node: TestNode) {
  return (await statusOf(node)).models.find(({ id }) => id === modelId)!.health;
}

const jobsSchema = z.object({
  jobs: z.array(
    z.object({
      taskId: z.nullable(z.string()),
      role: z.string(),
      state: z.nullable(z.string()),
      failureCode: z.nullable(z.string()),
    }),
  ),
});

/** What `jobs list` tells of a job. */
async function jobOf(node: TestNode, taskId: string) {
  const { jobs } = jobsSchema.parse(JSON.parse(await node.command(["jobs", "list", "--json"])));
  return jobs.find((job) => job.taskId === taskId);
}

/** The process of a node's engine. */
function engineOf({ process: { pid } }: TestNode): number | undefined {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
  return children.find((child) => readIfThere(`/proc/${child}/cmdline`).includes("\0__engine"));
}

/** Time that a process has spent on the processor, in clock ticks: fields 14 and 15 of proc(5)'s stat, the second being the name. */
function cpuTicks(pid: number): number {
  const fields = readIfThere(`/proc/${pid}/stat`).replace(/^.*\)/, "").trim().split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
