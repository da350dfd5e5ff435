import { mkdirSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { nodeVariables } from "../../src/devnet/devnet.ts";
import { coordinatorAccounts } from "./accounts.ts";
import { type Growth, growthBetween, type Sample, sample } from "./memory.ts";
import type { ChainDocument } from "./network.ts";
import { firstDocument, killHard, type LoggedProcess, spawnLogged } from "./processes.ts";

export type WeekOptions = {
  directory: string;
  seed: string;
  /** How many polls are waited for. */
  polls: number;
  /** How many times as fast as the system's the node's clock runs. */
  factor: number;
  sampleEveryMs: number;
  onProgress?: (progress: Counts & { elapsedMs: number; megabytes: number | undefined }) => void;
};

export type WeekResult = Counts & {
  elapsedMs: number;
  samples: Sample[];
  /** Over the second half; undefined when it was too short. */
  growth: Growth | undefined;
  exitCode: number;
};

const countsSchema = z.object({
  polls: z.number(),
  heartbeats: z.number(),
  attestations: z.number(),
  faults: z.number(),
});
type Counts = z.output<typeof countsSchema>;

/** The loops of a node with nothing to do, against a coordinator on loopback, until it has asked for work so many times. */
export async function runWeek(options: WeekOptions): Promise<WeekResult> {
  const { directory } = options;
  mkdirSync(directory, { recursive: true });
  const children: LoggedProcess[] = [];
  const start = async (name: string, args: string[], variables: Record<string, string> = {}) => {
    const logPath = join(directory, `${name}.log`);
    const env = { HOME: directory, PATH: "/nonexistent", ...variables };
    const child = spawnLogged([process.execPath, join(import.meta.dir, `${name}.ts`), ...args], env, logPath);
    children.push(child);
    return { child, document: await firstDocument(child, logPath) };
  };
  try {
    const chain = (await start("chain-process", [directory])).document as ChainDocument;
    const icl = (await start("week-icl", [options.seed])).document as { url: string };
    const endpoints = { rpc: chain.rpc, icl: icl.url, payment: icl.url, ipfs: chain.ipfs };
    const { child: node } = await start("week-node", [String(options.factor)], {
      ...nodeVariables(endpoints, chain.addresses, coordinatorAccounts().treasury.address),
      BLF_CONFIG_DIR: join(directory, "node"),
      BLF_MOCK_MODEL_IDS: "week-model",
      BLF_STATUS_PORT: "0",
    });
    const startedAt = Date.now();
    const samples: Sample[] = [];
    let counts = await readCounts(icl.url);
    for (let round = 0; counts.polls < options.polls; round++) {
      await Bun.sleep(options.sampleEveryMs);
      if (node.exitCode !== null || node.signalCode !== null) throw new Error(`the node ended (${node.exitCode})`);
      sample(samples, node.pid);
      counts = await readCounts(icl.url);
      if (round % 10 === 9)
        options.onProgress?.({ ...counts, elapsedMs: Date.now() - startedAt, megabytes: samples.at(-1)?.megabytes });
    }
    const endedAt = Date.now();
    const growth = growthBetween(samples, startedAt + (endedAt - startedAt) / 2, endedAt);
    node.kill("SIGTERM");
    return { ...counts, elapsedMs: endedAt - startedAt, samples, growth, exitCode: await node.exited };
  } finally {
    for (const child of children) await killHard(child);
  }
}

async function readCounts(url: string): Promise<Counts> {
  return countsSchema.parse(await (await fetch(`${url}/counts`)).json());
}
