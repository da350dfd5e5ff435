import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { getAddress, type Hex } from "viem";
import { nodeRegistryAbi } from "../../src/chain/abi/node-registry.ts";
import { stakingAbi } from "../../src/chain/abi/staking.ts";
import type { NetworkAddresses } from "../../src/chain/addresses.ts";
import type { Secrets } from "../../src/config/secrets.ts";
import type { Devnet } from "../../src/devnet/devnet.ts";
import { cofheStandIns } from "../../src/doctor/checks/services.ts";
import { type System, systemOfThisMachine } from "../../src/doctor/context.ts";
import { Secret } from "../../src/lib/secret.ts";
import { encryptKeystore } from "../../src/wallet/keystore.ts";
import { createPrivateKey } from "../../src/wallet/private-key.ts";
import type { RpcRule } from "../helpers/rpc-proxy.ts";
import { coordinatorProxy, rewriteCall, rpcWith } from "./proxies.ts";
import { createDoctorNode, type DoctorNode, password, red, startDoctorDevnet } from "./world.ts";

setDefaultTimeout(60_000);

let devnet: Devnet;
let node: DoctorNode;

beforeAll(async () => {
  devnet = await startDoctorDevnet();
  node = await createDoctorNode(devnet);
  await node.run();
});

afterAll(async () => {
  await node?.stop();
  await devnet?.stop();
});

const nowhere = "http://127.0.0.1:1";

/** What the doctor is given, and how the fault is taken away again. */
type Planted = {
  env?: Record<string, string>;
  system?: Partial<System>;
  secrets?: Secrets;
  undo?: () => unknown;
};
type Fault = { name: string; finding: string; plant(): Planted | Promise<Planted> };

const env =
  (name: string, value: string): Fault["plant"] =>
  () => ({ env: { [name]: value } });

const rpc =
  (method: string, rule: RpcRule): Fault["plant"] =>
  async () => {
    const proxy = await rpcWith(devnet.endpoints.rpc, method, rule);
    return { env: { BLF_RPC_URL: proxy.url }, undo: proxy.stop };
  };

const codeAt =
  (address: () => string, code: (real: string) => string): RpcRule =>
  async (call, forward) => {
    const answer = await forward();
    const isIt = getAddress(call.params[0] as string) === getAddress(address());
    return isIt ? { result: code(answer.result as string) } : answer;
  };

const contract = (name: keyof NetworkAddresses, finding: string): Fault => ({
  name: `no contract where ${name} should be`,
  finding,
  plant: rpc(
    "eth_getCode",
    codeAt(
      () => devnet.addresses[name],
      () => "0x",
    ),
  ),
});

const coordinator =
  (rewrite: (body: unknown, headers: Headers) => unknown): Fault["plant"] =>
  () => {
    const proxy = coordinatorProxy(devnet.endpoints.icl, rewrite);
    return { env: { BLF_ICL_ENDPOINT: proxy.url }, undo: proxy.stop };
  };

const mode =
  (name: string, wrong: number, right: number): Fault["plant"] =>
  () => {
    const path = join(node.dir, name);
    chmodSync(path, wrong);
    return { undo: () => chmodSync(path, right) };
  };

const memory = (total: number, available: number) => ({
  hardware: async () => ({ ...(await systemOfThisMachine.hardware()), memory: { total, available } }),
});

/** A service of models that answers everything alike. */
const service =
  (variable: string, answer: () => Response, others: Record<string, string>): Fault["plant"] =>
  () => {
    const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: answer });
    const url = `http://127.0.0.1:${server.port}`;
    return { env: { [variable]: url, ...others }, undo: () => server.stop(true) };
  };

const model = (settings: object): Record<string, string> => ({
  BLF_MODELS: JSON.stringify({ tiny: { path: node.modelPath, ...settings } }),
});

const faults: Fault[] = [
  {
    name: "this machine's clock is ten minutes behind the coordinator's",
    finding: "icl-clock",
    plant: coordinator((body, headers) => {
      headers.set("Date", new Date(Date.now() + 600_000).toUTCString());
      return body;
    }),
  },
  {
    name: "the newest block is an hour in the future",
    finding: "chain-clock",
    plant: rpc("eth_getBlockByNumber", async (_call, forward) => {
      const answer = await forward();
      const timestamp = `0x${Math.floor(Date.now() / 1000 + 3600).toString(16)}`;
      return { result: { ...(answer.result as object), timestamp } };
    }),
  },
  { name: "the RPC serves another chain", finding: "chain-id", plant: rpc("eth_chainId", () => ({ result: "0x1" })) },
  { name: "the RPC is down", finding: "rpc", plant: env("BLF_RPC_URL", nowhere) },
  { name: "a second RPC is down", finding: "rpc", plant: env("BLF_RPC_FALLBACK_URLS", nowhere) },
  contract("blind", "contract-blind-token"),
  contract("staking", "contract-staking"),
  contract("nodeRegistry", "contract-node-registry"),
  contract("promptKeyStore", "contract-prompt-key-store"),
  contract("rewardAccumulator", "contract-reward-accumulator"),
  {
    name: "an older contract that lacks a function",
    finding: "contract-prompt-key-store",
    plant: async () => {
      const { toFunctionSelector } = await import("viem");
      const { promptKeyStoreAbi } = await import("../../src/chain/abi/prompt-key-store.ts");
      const item = promptKeyStoreAbi.find((entry) => entry.type === "function" && entry.name === "storeKey");
      const selector = toFunctionSelector(item as Extract<typeof item, { type: "function" }>).slice(2);
      return rpc(
        "eth_getCode",
        codeAt(
          () => devnet.addresses.promptKeyStore,
          (code) => code.replaceAll(selector, "deadbeef"),
        ),
      )();
    },
  },
  {
    name: "an address is not set",
    finding: "contract-reward-accumulator",
    plant: env("BLF_REWARD_ACCUMULATOR_ADDRESS", ""),
  },
  { name: "no ETH", finding: "balance-eth", plant: rpc("eth_getBalance", () => ({ result: "0x0" })) },
  {
    name: "the stake is not active",
    finding: "stake",
    plant: rpc(
      "eth_call",
      rewriteCall(stakingAbi, "getStakeInfo", (info: object) => ({ ...info, staked: 0n, active: false })),
    ),
  },
  {
    name: "one failure before the slash",
    finding: "failures",
    plant: rpc(
      "eth_call",
      rewriteCall(stakingAbi, "getStakeInfo", (info: object) => ({ ...info, consecutiveFailures: 2n })),
    ),
  },
  {
    name: "not registered on chain",
    finding: "registration",
    plant: rpc(
      "eth_call",
      rewriteCall(nodeRegistryAbi, "getNode", (record: object) => ({ ...record, registeredAt: 0n })),
    ),
  },
  {
    name: "the last on-chain heartbeat is too long ago",
    finding: "registration",
    plant: rpc(
      "eth_call",
      rewriteCall(nodeRegistryAbi, "isActive", () => false),
    ),
  },
  { name: "the coordinator is down", finding: "icl", plant: env("BLF_ICL_ENDPOINT", nowhere) },
  { name: "the coordinator talks nonsense", finding: "icl", plant: coordinator(() => ({ nodes: "none" })) },
  { name: "the coordinator does not list this node", finding: "icl-listing", plant: coordinator(() => []) },
  { name: "the certificate has expired", finding: "certificate", plant: env("BLF_ATTESTATION_EXPIRY", "1700000000") },
  {
    name: "a second node sends heartbeats with this key",
    finding: "second-node",
    plant: coordinator((body) => {
      const nodes = body as { metrics: { last_heartbeat: number } }[];
      for (const { metrics } of nodes) metrics.last_heartbeat += 120;
      return nodes;
    }),
  },
  { name: "the payment service is down", finding: "payment", plant: env("BLF_PAYMENT_SERVICE_URL", nowhere) },
  {
    name: "CoFHE is not on this chain",
    finding: "cofhe",
    plant: rpc(
      "eth_getCode",
      codeAt(
        () => cofheStandIns[0],
        () => "0x",
      ),
    ),
  },
  { name: "the upload service is down", finding: "ipfs-upload", plant: env("BLF_IPFS_UPLOAD_URL", nowhere) },
  {
    name: "the gateway gives other bytes",
    finding: "ipfs-download",
    plant: () => {
      const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("something else") });
      const url = `http://127.0.0.1:${server.port}`;
      return { env: { BLF_IPFS_GATEWAY: url, BLF_IPFS_GATEWAYS: url }, undo: () => server.stop(true) };
    },
  },
  { name: "no upload service", finding: "uploader", plant: env("BLF_IPFS_UPLOAD_KIND", "pinata") },
  { name: "output keys are not stored", finding: "key-store", plant: env("BLF_SKIP_OUTPUT_KEY_STORAGE", "true") },
  { name: "others may read the keystore", finding: "keystore-mode", plant: mode("keystore.json", 0o644, 0o600) },
  { name: "others may enter the data directory", finding: "data-directory", plant: mode(".", 0o755, 0o700) },
  { name: "others may change the configuration", finding: "config-file", plant: mode("config.json", 0o666, 0o600) },
  {
    name: "the keystore is missing",
    finding: "keystore",
    plant: () => ({ env: { BLF_KEYSTORE_PATH: "missing.json" } }),
  },
  {
    name: "the keystore is another node's",
    finding: "keystore",
    plant: async () => {
      const path = join(node.dir, "..", "other.json");
      const other = await encryptKeystore(createPrivateKey(), new Secret(password), { scryptN: 2 });
      writeFileSync(path, other, { mode: 0o600 });
      return { env: { BLF_KEYSTORE_PATH: path } };
    },
  },
  {
    name: "a variable that makes the runtime load a file first",
    finding: "runtime-variables",
    plant: env("BUN_OPTIONS", "--preload ./x.ts"),
  },
  { name: "an old C library", finding: "glibc", plant: () => ({ system: { platform: "linux", glibc: () => "2.31" } }) },
  {
    name: "another C library",
    finding: "glibc",
    plant: () => ({ system: { platform: "linux", glibc: () => undefined } }),
  },
  { name: "more threads than cores", finding: "cores", plant: env("BLF_ENGINE_THREADS", "512") },
  { name: "less memory than the model needs", finding: "memory", plant: () => ({ system: memory(2e8, 1e8) }) },
  { name: "a full disk", finding: "disk", plant: () => ({ system: { freeDisk: () => 1e6 } }) },
  {
    name: "a model for a GPU that is not there",
    finding: "gpu",
    plant: () => ({
      env: model({ gpu_layers: 20 }),
      system: { hardware: async () => ({ ...(await systemOfThisMachine.hardware()), gpus: [] }) },
    }),
  },
  {
    name: "a GPU whose driver does not answer",
    finding: "gpu",
    plant: () => ({
      system: {
        hardware: async () => ({ ...(await systemOfThisMachine.hardware()), gpus: [] }),
        files: { ...systemOfThisMachine.files, list: (path) => (path === "/dev" ? ["null", "nvidia0"] : []) },
      },
    }),
  },
  {
    name: "a model file that was cut off",
    finding: "model-files",
    plant: () => {
      const path = join(node.dir, "..", "cut.gguf");
      writeFileSync(path, readFileSync(node.modelPath).subarray(0, 20_000));
      return { env: model({ path }) };
    },
  },
  {
    name: "the model server is down",
    finding: "vllm",
    plant: () => ({ env: { BLF_VLLM_BASE_URL: nowhere, BLF_VLLM_MODELS: '{"opt":"facebook/opt-125m"}' } }),
  },
  {
    name: "the model server has other models",
    finding: "vllm",
    plant: service("BLF_VLLM_BASE_URL", () => Response.json({ data: [{ id: "another" }] }), {
      BLF_VLLM_MODELS: '{"opt":"facebook/opt-125m"}',
    }),
  },
  { name: "no key for Groq", finding: "groq", plant: env("BLF_GROQ_MODELS", "groq:llama-3.3-70b-versatile") },
  {
    name: "a key that Google refuses",
    finding: "gemini",
    plant: async () => ({
      ...(await service("BLF_GEMINI_BASE_URL", () => Response.json({}, { status: 403 }), {
        BLF_GEMINI_MODELS: "gemini:gemini-2.5-flash",
      })()),
      secrets: { googleApiKey: new Secret("expired") },
    }),
  },
  { name: "no model", finding: "models", plant: env("BLF_MODELS", "{}") },
  {
    name: "a model that nothing here can run",
    finding: "models",
    plant: env("BLF_SUPPORTED_MODEL_IDS", "tiny,llama-70b"),
  },
];

describe("each fault turns the finding that belongs to it red, and no other", () => {
  test("without a fault everything is green", async () => {
    expect(red(await node.examine())).toEqual([]);
  });

  test.each(faults)("$name: $finding", async ({ finding, plant }) => {
    const { env = {}, system, secrets, undo } = await plant();
    try {
      const options = {
        ...(system ? { system: { ...systemOfThisMachine, ...system } } : {}),
        ...(secrets ? { secrets } : {}),
      };
      const report = await node.examine(env, options);
      expect(red(report)).toEqual([finding]);
      const found = report.findings.find(({ id }) => id === finding)!;
      expect(found.detail.length).toBeGreaterThan(5);
      expect(found.remedy!.length).toBeGreaterThan(5);
      expect(`${found.detail}${found.remedy}`).not.toMatch(/\n|undefined|\[object/);
    } finally {
      await undo?.();
    }
  });
});

test("the stand-ins of CoFHE are those of the SDK", async () => {
  const sdk = await import("@cofhe/sdk");
  const known: readonly Hex[] = cofheStandIns;
  expect(known).toEqual([sdk.TASK_MANAGER_ADDRESS, sdk.MOCKS_ZK_VERIFIER_ADDRESS, sdk.MOCKS_THRESHOLD_NETWORK_ADDRESS]);
});
