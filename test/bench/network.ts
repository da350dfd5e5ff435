import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { type Address, parseEther } from "viem";
import type { Devnet } from "../../src/devnet/devnet.ts";
import { openDevnetRequester } from "../../src/devnet/requester.ts";
import { systemClock as clock } from "../../src/lib/clock.ts";
import { createLogger } from "../../src/lib/log.ts";
import type { RequesterContext } from "../../src/requester/context.ts";
import { type BenchNode, startNode } from "./node.ts";

export type DevnetProcess = Pick<Devnet, "endpoints" | "addresses" | "variables"> & {
  fund(address: Address): Promise<void>;
};

export type BenchNetwork = {
  nodes: BenchNode[];
  /** A requester whose quorum is always the first node as the leader and the others as verifiers. */
  requester: RequesterContext;
  stop(): Promise<void>;
};

export type BenchNetworkOptions = {
  executable: string;
  directory: string;
  /** Extra environment of each node; its length is the number of nodes. */
  nodes: Record<string, string>[];
};

/** The devnet, the nodes and this requester are processes of their own, so that none works on another's time. */
export async function startBenchNetwork(options: BenchNetworkOptions): Promise<BenchNetwork> {
  const { executable, directory } = options;
  mkdirSync(directory, { recursive: true });
  const child = Bun.spawn([executable, "devnet", "--port-base", "0", "--json"], {
    env: { HOME: directory, PATH: "/nonexistent" },
    stdout: "pipe",
    stderr: "ignore",
  });
  const nodes: BenchNode[] = [];
  let requester: RequesterContext | undefined;
  const stop = async () => {
    await Promise.all(nodes.map((node) => end(node.process)));
    await requester?.cofhe.close();
    await end(child);
  };
  try {
    const devnet = withFunding(await firstDocument(child.stdout));
    for (const [index, environment] of options.nodes.entries())
      nodes.push(await startNode({ executable, directory: join(directory, `node-${index}`), devnet, environment }));
    const [leader, ...verifiers] = nodes.map(({ address }) => address) as [Address, ...Address[]];
    const opened = await openDevnetRequester({
      devnet: { ...devnet, treasury: devnet.variables["BLF_PAYMENT_TREASURY_ADDRESS"] as Address },
      credits: parseEther("100"),
      log: createLogger({ level: "error", format: "text", clock, write: console.error }),
      signal: AbortSignal.timeout(30_000),
    });
    requester = { ...opened, client: { ...opened.client, quorumPreview: async () => ({ leader, verifiers }) } };
    return { nodes, requester, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A node that is asked once finishes its jobs, which nobody waits for any more; asked twice it does not. */
async function end(process: Subprocess): Promise<void> {
  process.kill("SIGTERM");
  await Promise.race([process.exited, Bun.sleep(1000)]);
  process.kill("SIGTERM");
  await process.exited;
}

/** The JSON document that a process prints first. */
async function firstDocument(stream: ReadableStream<Uint8Array>): Promise<Omit<DevnetProcess, "fund">> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream as unknown as AsyncIterable<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true });
    if (text.endsWith("}\n")) return JSON.parse(text) as DevnetProcess;
  }
  throw new Error(`the devnet ended before it was ready: ${text}`);
}

function withFunding(devnet: Omit<DevnetProcess, "fund">): DevnetProcess {
  const fund = async (address: Address) => {
    const body = JSON.stringify({ address });
    const headers = { "Content-Type": "application/json" };
    const response = await fetch(`${devnet.endpoints.icl}/devnet/fund`, { method: "POST", headers, body });
    if (!response.ok) throw new Error(`the devnet does not fund: HTTP ${response.status}`);
  };
  return { ...devnet, fund };
}
