import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { type Address, getAddress, parseEther } from "viem";
import { buildTinyModel, type TinyModelOptions } from "../../native/tiny-model.ts";
import type { JobSnapshot } from "../../src/devnet/coordinator/views.ts";
import { type Devnet, startDevnet } from "../../src/devnet/devnet.ts";
import { openDevnetRequester } from "../../src/devnet/requester.ts";
import type { QuorumPreview } from "../../src/icl/requester.ts";
import { systemClock as clock } from "../../src/lib/clock.ts";
import { createLogger } from "../../src/lib/log.ts";
import type { RequesterContext } from "../../src/requester/context.ts";
import { createPrivateKey } from "../../src/wallet/private-key.ts";
import { freePort } from "../helpers/free-port.ts";

export const password = "correct horse battery staple";
export const modelId = "tiny-e2e";
export const log = createLogger({ level: "error", format: "text", clock, write: (line) => console.error(line) });

export type TestNode = {
  address: Address;
  directory: string;
  statusUrl: string;
  privateKey: string;
  /** All that it wrote to stdout and stderr so far. */
  output(): string;
  /** What another command prints that is run on its data directory, with more environment. */
  command(args: string[], more?: Record<string, string>): Promise<string>;
  process: Subprocess;
};

export type TestNetwork = {
  directory: string;
  devnet: Devnet;
  nodes: TestNode[];
  requester: RequesterContext;
  /** The requester with a quorum of its own choice, the leader first. */
  withQuorum(nodes: TestNode[]): RequesterContext;
  settled(taskId: string): Promise<JobSnapshot>;
  stop(): Promise<void>;
};

/** Resolves with the first truthy value; the condition is asked again every 20 ms. */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  timeoutMs = 60_000,
): Promise<NonNullable<T>> {
  for (const giveUp = Date.now() + timeoutMs; Date.now() < giveUp; ) {
    const value = await condition();
    if (value) return value as NonNullable<T>;
    await Bun.sleep(20);
  }
  throw new Error(`timed out waiting until ${what}`);
}

export type NetworkOptions = {
  executable: string;
  /** Extra environment of each node; its length is the number of nodes. */
  nodes: Record<string, string>[];
  /** What all nodes serve, by model id; `modelId` by default, a small one. */
  models?: Record<string, TinyModelOptions>;
  /** Longest answer, in tokens. */
  maxTokens?: number;
};

/** A devnet in this process, and real nodes as processes of the compiled file. */
export async function startNetwork(options: NetworkOptions): Promise<TestNetwork> {
  const directory = mkdtempSync(join(tmpdir(), "blindference-e2e-"));
  const models: Record<string, { path: string; max_tokens: number }> = {};
  for (const [id, model] of Object.entries(options.models ?? { [modelId]: {} })) {
    const path = join(directory, `${id}.gguf`);
    writeFileSync(path, buildTinyModel({ seed: 5, ...model }));
    models[id] = { path, max_tokens: options.maxTokens ?? 24 };
  }
  const devnet = await startDevnet({ portBase: 0, clock, log });
  const nodes: TestNode[] = [];
  const stop = async () => {
    for (const node of nodes) node.process.kill("SIGTERM");
    await Promise.all(nodes.map((node) => node.process.exited));
    await requester?.cofhe.close();
    await devnet.stop();
    rmSync(directory, { recursive: true, force: true });
  };
  let requester: RequesterContext | undefined;
  try {
    const started = options.nodes.map((extra, index) =>
      startNode(options.executable, join(directory, `node-${index}`), devnet, {
        ...extra,
        BLF_MODELS: JSON.stringify(models),
      }),
    );
    nodes.push(...(await Promise.all(started)));
    requester = await openDevnetRequester({
      devnet,
      credits: parseEther("10"),
      log,
      signal: AbortSignal.timeout(30_000),
    });
    const context = requester;
    return {
      directory,
      devnet,
      nodes,
      requester: context,
      withQuorum: (chosen) => {
        const [leader, ...verifiers] = chosen.map((node) => node.address);
        const quorumPreview = async (): Promise<QuorumPreview> => ({ leader: leader!, verifiers });
        return { ...context, client: { ...context.client, quorumPreview } };
      },
      settled: (taskId) =>
        until("the job is settled", () =>
          devnet.coordinator.jobs().find((job) => job.taskId === taskId && job.settled),
        ),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startNode(
  executable: string,
  directory: string,
  devnet: Devnet,
  extra: Record<string, string>,
): Promise<TestNode> {
  const key = createPrivateKey().reveal();
  const port = freePort();
  const env = {
    HOME: process.env["HOME"] ?? directory,
    PATH: "/nonexistent",
    ...devnet.variables,
    ...extra,
    BLF_CONFIG_DIR: directory,
    BLF_KEY_PASSWORD: password,
    BLF_ENGINE_THREADS: "1",
    BLF_STATUS_PORT: String(port),
    BLF_LOG_LEVEL: "debug",
  };
  let output = "";
  const command = async (args: string[], more: Record<string, string> = {}) => {
    const child = Bun.spawn([executable, ...args], { env: { ...env, ...more }, stdout: "pipe", stderr: "pipe" });
    const [stdout, stderr, code] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    output += stdout + stderr;
    if (code !== 0) throw new Error(`${args.join(" ")} exited ${code}: ${stdout}${stderr}`);
    return stdout;
  };
  const init = JSON.parse(await command(["init", "--json"], { BLF_PRIVATE_KEY: key })) as { address: string };
  const address = getAddress(init.address);
  await devnet.fund(address);
  await command(["attest", "--mock", "--register", "--json"]);
  await command(["staking", "stake", "1000", "--json"]);
  const child = Bun.spawn([executable, "run"], { env, stdout: "pipe", stderr: "pipe" });
  for (const stream of [child.stdout, child.stderr]) {
    void (async () => {
      const decoder = new TextDecoder();
      for await (const chunk of stream as unknown as AsyncIterable<Uint8Array>)
        output += decoder.decode(chunk, { stream: true });
    })();
  }
  const statusUrl = `http://127.0.0.1:${port}`;
  await until("the node is ready", async () => {
    if (child.exitCode !== null) throw new Error(`run exited ${child.exitCode}: ${output}`);
    return fetch(`${statusUrl}/readyz`).then(
      (response) => response.ok,
      () => false,
    );
  });
  return { address, directory, statusUrl, privateKey: key, output: () => output, command, process: child };
}
