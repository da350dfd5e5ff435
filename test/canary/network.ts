import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseEther } from "viem";
import { buildTinyModel } from "../../native/tiny-model.ts";
import { startDevnet } from "../../src/devnet/devnet.ts";
import { openDevnetRequester } from "../../src/devnet/requester.ts";
import { systemClock as clock } from "../../src/lib/clock.ts";
import { createLogger } from "../../src/lib/log.ts";
import type { RequesterContext } from "../../src/requester/context.ts";
import { type CanaryNode, type CanaryNodeOptions, createCanaryNode } from "./node.ts";
import { type LyingProxy, startProxy } from "./proxy.ts";
import { filesBelow, type Place } from "./search.ts";
import { canaryOutput } from "./secrets.ts";
import { type ModelServices, startModelServices } from "./services.ts";
import type { Canary } from "./spellings.ts";

export const quickModel = "canary-llama";
export const slowModel = "canary-llama-slow";
export const models = [quickModel, "canary-careless", "canary-vllm", "groq:canary", "gemini:canary"];

export type CanaryNetwork = {
  nodes: [CanaryNode, CanaryNode];
  requester: RequesterContext;
  /** Between the nodes and everything else. */
  proxies: { rpc: LyingProxy; icl: LyingProxy; ipfs: LyingProxy };
  services: ModelServices;
  /** Everything that was written, printed or seen. */
  places(): Place[];
  /** What belongs to the nodes and not to a job. */
  secrets(): Canary[];
  stop(): Promise<void>;
};

const log = createLogger({ level: "error", format: "text", clock, write: (line) => console.error(line) });

/** A devnet, two nodes of the compiled file with every kind of backend, and proxies in between that can misbehave. */
export async function startCanaryNetwork(executable: string): Promise<CanaryNetwork> {
  const directory = mkdtempSync(join(tmpdir(), "blindference-canary-"));
  const devnet = await startDevnet({ portBase: 0, clock, log });
  const { rpc, icl, ipfs } = devnet.endpoints;
  const proxies = { rpc: startProxy(rpc), icl: startProxy(icl), ipfs: startProxy(ipfs) };
  const services = startModelServices(canaryOutput);
  const configured: Record<string, object> = {
    [quickModel]: { path: join(directory, "quick.gguf"), max_tokens: 24 },
    [slowModel]: { path: join(directory, "slow.gguf"), max_tokens: 1024 },
  };
  writeFileSync(join(directory, "quick.gguf"), buildTinyModel({ seed: 5 }));
  // Slow enough to be met while it generates, on any machine.
  writeFileSync(join(directory, "slow.gguf"), buildTinyModel({ type: "q8_0", dim: 256, layers: 8, ff: 1024 }));
  const cache = join(directory, "cache");
  mkdirSync(cache);
  const env = {
    XDG_CACHE_HOME: cache,
    BLF_RPC_URL: proxies.rpc.url,
    BLF_ICL_ENDPOINT: proxies.icl.url,
    BLF_IPFS_GATEWAY: proxies.ipfs.url,
    BLF_IPFS_GATEWAYS: proxies.ipfs.url,
    BLF_IPFS_UPLOAD_KIND: "pinata",
    BLF_IPFS_UPLOAD_URL: proxies.ipfs.url,
    BLF_MODELS: JSON.stringify(configured),
    BLF_VLLM_BASE_URL: services.url,
    BLF_VLLM_MODELS: JSON.stringify({ "canary-vllm": "canary" }),
    BLF_GROQ_BASE_URL: services.url,
    BLF_GROQ_MODELS: "groq:canary",
    BLF_GEMINI_BASE_URL: services.url,
    BLF_GEMINI_MODELS: "gemini:canary",
  };
  const start = (name: string, uploadToken: CanaryNodeOptions["uploadToken"]) =>
    createCanaryNode({ executable, directory: join(directory, name), devnet, env, uploadToken });
  const nodes = await Promise.all([start("first", "BLF_IPFS_UPLOAD_JWT"), start("second", "PINATA_JWT")]);
  await Promise.all(nodes.map((node) => node.run()));
  const requester = await openDevnetRequester({
    devnet,
    credits: parseEther("100"),
    log,
    signal: AbortSignal.timeout(30_000),
  });
  return {
    nodes,
    requester,
    proxies,
    services,
    places: () => [...nodes.flatMap((node) => node.places()), ...filesBelow(cache)],
    secrets: () => nodes.flatMap((node) => node.secrets),
    stop: async () => {
      for (const node of nodes) if (node.isRunning()) await node.kill("SIGKILL");
      await requester.cofhe.close();
      await Promise.all([...Object.values(proxies), services].map((server) => server.stop()));
      await devnet.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
