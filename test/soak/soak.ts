import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildTinyModel } from "../../native/tiny-model.ts";
import type { Limits } from "../../src/devnet/coordinator/limits.ts";
import type { Job } from "../../src/devnet/coordinator/state.ts";
import { until } from "../e2e/network.ts";
import { createPrng, type Prng } from "../sim/prng.ts";
import { readJobs } from "./coordinator-store.ts";
import { type FaultProxy, startFaultProxy } from "./fault-proxy.ts";
import { type Sample, sample } from "./memory.ts";
import { type ProxyUrls, proxiedVariables, type SoakNetwork, startSoakNetwork } from "./network.ts";
import { createSoakNode, type SoakNode } from "./node.ts";
import { type Requests, startRequests } from "./requests.ts";
import { type ChainFacts, readChainFacts } from "./stakes.ts";
import { type IclWatch, watchIcl } from "./watch.ts";

export type SoakOptions = {
  executable: string;
  /** Everything that is written goes here. */
  directory: string;
  seed: string;
  durationMs: number;
  /** Nodes that are killed in turn, and nodes that never are. */
  victims: number;
  steady: number;
  killEveryMs: number;
  coordinatorEveryMs: number;
  /** Longest times that a killed node and a killed coordinator stay away. */
  nodeAwayMs: number;
  coordinatorAwayMs: number;
  jobEveryMs: number;
  sampleEveryMs: number;
  /** Share of the requests to each dependency that go wrong. */
  faultRate: number;
  /** `tiny` runs a small GGUF in an engine process; `mock` spares the time to load it. */
  model: "tiny" | "mock";
  /** Shorter times for claims than the network's, for a short run. */
  limits?: Partial<Limits>;
  onProgress?: (progress: Progress) => void;
};

export type Progress = {
  elapsedMs: number;
  sent: number;
  jobs: Record<Job["status"], number>;
  nodeKills: number;
  coordinatorRestarts: number;
  nodes: readonly SoakNode[];
};

/** Everything that a run has seen. Times in milliseconds since the epoch. */
export type SoakResult = {
  startedAt: number;
  endedAt: number;
  jobs: Job[];
  requests: Pick<Requests, "sent" | "unsent">;
  nodes: SoakNode[];
  /** The steady ones come last. */
  victims: number;
  nodeKills: number;
  coordinatorRestarts: number;
  /** Exit codes after SIGTERM, by node. */
  exitCodes: number[];
  proxies: Record<keyof ProxyUrls, FaultProxy>;
  watch: IclWatch;
  chain: ChainFacts;
  services: { chain: Sample[]; coordinator: Sample[]; harness: Sample[] };
  problem: string | undefined;
};

export const modelId = "soak-model";

/** A devnet, real nodes, faults between them, and murders, for a while. Ends when every job has ended, or when it is clear that one will not. */
export async function runSoak(options: SoakOptions): Promise<SoakResult> {
  const prng = createPrng(options.seed);
  const watch = watchIcl();
  const network = await startSoakNetwork(join(options.directory, "network"), options.limits);
  const proxies = await startProxies(network, prng, watch);
  const nodes: SoakNode[] = [];
  const stopping = new AbortController();
  try {
    nodes.push(...(await createNodes(options, network, proxies)));
    for (const node of nodes) node.start();
    await Promise.all(nodes.map((node) => node.ready()));
    const requests = await startRequests({ network, modelId, everyMs: options.jobEveryMs, requesters: 8 });
    for (const proxy of Object.values(proxies)) proxy.setRate(options.faultRate);

    const startedAt = Date.now();
    const services: SoakResult["services"] = { chain: [], coordinator: [], harness: [] };
    const counts = { nodeKills: 0, coordinatorRestarts: 0 };
    const every = (ms: number, action: (index: number) => void | Promise<void>) =>
      repeat({ ms, untilMs: startedAt + options.durationMs, signal: stopping.signal, action });
    const victims = nodes.slice(0, options.victims);
    const loops = [
      every(options.sampleEveryMs, () => {
        for (const node of nodes) node.sampleMemory();
        sample(services.chain, network.chainPid());
        sample(services.coordinator, network.coordinatorPid());
        sample(services.harness, process.pid);
      }),
      every(options.killEveryMs, async (index) => {
        const victim = victims[index % victims.length];
        if (!victim) return;
        await murder(victim, prng.between(0.1, 1) * options.nodeAwayMs, watch);
        counts.nodeKills++;
      }),
      every(options.coordinatorEveryMs, async (index) => {
        await network.killCoordinator();
        await Bun.sleep(prng.between(0.1, 1) * options.coordinatorAwayMs);
        await network.startCoordinator({ forgetNodes: index % 3 === 1 });
        counts.coordinatorRestarts++;
      }),
      every(60_000, () =>
        options.onProgress?.({
          elapsedMs: Date.now() - startedAt,
          sent: requests.sent.length,
          jobs: countByStatus(readJobs(network.storePath)),
          ...counts,
          nodes,
        }),
      ),
    ];
    await Promise.all(loops);
    const endedAt = Date.now();
    await requests.stop();
    const isOver = () => readJobs(network.storePath).every(({ settled }) => settled);
    await until("every job has ended", isOver, longestMs(options)).catch(() => {});
    const jobs = readJobs(network.storePath);
    const problem = network.problem();
    const exitCodes = await Promise.all(nodes.map((node) => node.stop()));
    const chain = await readChainFacts(
      network,
      nodes.map(({ address }) => address),
    );
    return {
      startedAt,
      endedAt,
      jobs,
      requests,
      nodes,
      victims: options.victims,
      ...counts,
      exitCodes,
      proxies,
      watch,
      chain,
      services,
      problem,
    };
  } finally {
    stopping.abort();
    await Promise.all(nodes.map((node) => node.kill()));
    for (const proxy of Object.values(proxies)) await proxy.stop();
    await network.stop();
  }
}

/** The longest that a job of this network can take after the last one was sent: two claims in a row and what belongs to them. */
function longestMs({ limits }: SoakOptions): number {
  const { assignmentLife = 300, claimLife = 300 } = limits ?? {};
  return 2 * (assignmentLife + claimLife) * 1000;
}

export function countByStatus(jobs: readonly Job[]): Record<Job["status"], number> {
  const counts = { pending_store_key: 0, queued: 0, accepted: 0, rejected: 0, failed: 0 };
  for (const { status } of jobs) counts[status]++;
  return counts;
}

async function startProxies(network: SoakNetwork, prng: Prng, watch: IclWatch): Promise<SoakResult["proxies"]> {
  const { icl, rpc, ipfs } = network.endpoints;
  const start = (name: string, target: string, onExchange?: IclWatch["onExchange"]) =>
    startFaultProxy({ target, prng: prng.fork(name), maxDelayMs: 8000, ...(onExchange ? { onExchange } : {}) });
  return {
    icl: await start("icl", icl, watch.onExchange),
    rpc: await start("rpc", rpc),
    cofhe: await start("cofhe", rpc),
    gateway: await start("gateway", ipfs),
    upload: await start("upload", ipfs),
  };
}

function createNodes(options: SoakOptions, network: SoakNetwork, proxies: SoakResult["proxies"]): Promise<SoakNode[]> {
  const { directory, executable } = options;
  mkdirSync(directory, { recursive: true });
  const urls = Object.fromEntries(Object.entries(proxies).map(([name, { url }]) => [name, url])) as ProxyUrls;
  const path = join(directory, "model.gguf");
  if (options.model === "tiny") writeFileSync(path, buildTinyModel({ seed: 5 }));
  const environment = {
    ...proxiedVariables(network, urls),
    BLF_ENGINE_THREADS: "1",
    ...(options.model === "tiny"
      ? { BLF_MODELS: JSON.stringify({ [modelId]: { path, max_tokens: 24 } }) }
      : { BLF_MOCK_MODEL_IDS: modelId }),
  };
  const names = Array.from({ length: options.victims + options.steady }, (_, index) =>
    index < options.victims ? `node-${index + 1}` : `steady-${index - options.victims + 1}`,
  );
  return Promise.all(
    names.map((name) =>
      createSoakNode({ executable, directory: join(directory, name), name, environment, fund: network.fund }),
    ),
  );
}

/** Kills a node, leaves it dead for a while and starts it again. It need not be ready before the next one is killed. */
async function murder(node: SoakNode, awayMs: number, watch: IclWatch): Promise<void> {
  await node.kill();
  watch.restarted(node.address);
  await Bun.sleep(awayMs);
  node.start();
  // A node that does not come back is seen by the life that never became ready.
  node.ready().catch(() => {});
}

type RepeatOptions = {
  ms: number;
  untilMs: number;
  signal: AbortSignal;
  action: (index: number) => void | Promise<void>;
};

/** Does something at equal distances, the first time after one of them. What takes longer moves nothing. */
async function repeat({ ms, untilMs, signal, action }: RepeatOptions): Promise<void> {
  const startedAt = Date.now();
  for (let index = 0; ; index++) {
    const next = startedAt + (index + 1) * ms;
    if (next >= untilMs) {
      await sleepUntil(untilMs, signal);
      return;
    }
    await sleepUntil(next, signal);
    if (signal.aborted) return;
    await action(index);
  }
}

async function sleepUntil(time: number, signal: AbortSignal): Promise<void> {
  const ms = time - Date.now();
  if (ms <= 0 || signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", () => resolve(), { once: true });
  await promise;
  clearTimeout(timer);
}
