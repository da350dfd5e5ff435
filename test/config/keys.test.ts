import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { readEnvironment, variables } from "../../src/config/environment.ts";
import { loadConfig } from "../../src/config/load.ts";
import { configKeys } from "../../src/config/schema.ts";
import { dataDirectory } from "./directory.ts";

const address = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

/** Every key that the original knows (PROTOCOL.md 4.10 and the table of its README), its value, and the same as a variable. */
const originalKeys: [key: string, value: unknown, text: string][] = [
  ["node_address", address, address],
  ["keystore_path", "/keys/keystore.json", "/keys/keystore.json"],
  ["tier", 2, "2"],
  ["supported_model_ids", ["facebook/opt-125m", "qwen2.5-7b"], "facebook/opt-125m, qwen2.5-7b,"],
  ["custom_backends", ["/opt/backend.ts"], "/opt/backend.ts"],
  ["attestation_backend", "sgx", "sgx"],
  ["icl_endpoint", "https://icl.example.org", "https://icl.example.org/"],
  ["payment_service_url", "http://127.0.0.1:8001", "http://127.0.0.1:8001"],
  ["rpc_url", "https://rpc.example.org/v1", "https://rpc.example.org/v1"],
  ["fhenix_rpc", "https://testnet.fhenix.zone", "https://testnet.fhenix.zone"],
  ["ipfs_gateway", "https://gateway.example.org", "https://gateway.example.org"],
  ["model_cache_dir", "/models", "/models"],
  ["log_level", "warn", "WARNING"],
  ["zdr_compliant", true, "true"],
  ["network", "fhenix_testnet", "fhenix_testnet"],
  ["attestation_cert_hash", "0x5b0e", "0x5b0e"],
  ["attestation_expiry", 1_750_000_000, "1750000000"],
  ["registered_on_chain", true, "yes"],
  ["stake_amount_wei", 1000n, "1000"],
  ["cofhe_mode", "python", "python"],
  ["cofhe_endpoint", "https://cofhe.example.org", "https://cofhe.example.org"],
  ["cofhe_chain_id", 421_614, "421614"],
  ["skip_output_key_storage", true, "1"],
  ["blind_token_address", address, address],
];

/** Keys that only we have, as variables. */
const ownKeys: [key: string, value: unknown, text: string][] = [
  ["ipfs_gateways", ["https://a.example", "https://b.example"], "https://a.example,https://b.example"],
  [
    "rpc_fallback_urls",
    ["https://rpc.example.org", "http://127.0.0.1:1"],
    "https://rpc.example.org, http://127.0.0.1:1/",
  ],
  ["ipfs_upload_url", "http://127.0.0.1:5001", "http://127.0.0.1:5001"],
  ["ipfs_upload_kind", "kubo", "kubo"],
  [
    "models",
    { "qwen2.5-7b": { path: "/m.gguf", context_size: 4096, max_tokens: 512, gpu_layers: 0 } },
    '{"qwen2.5-7b":{"path":"/m.gguf","context_size":4096}}',
  ],
  ["model_hub_url", "https://hub.example.org", "https://hub.example.org/"],
  ["mock_model_ids", ["mock:a"], "mock:a"],
  ["log_format", "json", "json"],
  ["staking_address", address, address],
  ["node_registry_address", address, address],
  ["prompt_key_store_address", address, address],
  ["reward_accumulator_address", address, address],
  ["payment_treasury_address", address, address],
  ["max_concurrent_jobs", 5, "5"],
  ["max_fee_gwei", 0.5, "0.5"],
  ["status_host", "localhost", "localhost"],
  ["status_port", 0, "0"],
];

const keys = [...originalKeys, ...ownKeys];
const inFile = (value: unknown) => (typeof value === "bigint" ? value.toString() : value);

describe("every key", () => {
  test("is in these tables", () => {
    expect(keys.map(([key]) => key).sort()).toEqual(configKeys.filter((key) => key !== "engine").sort());
  });

  test.each(keys)("%s is read from config.json", (key, value) => {
    using data = dataDirectory({ [key]: inFile(value) });
    const { config, sources, exists } = loadConfig({ env: data.env });
    expect((config as Record<string, unknown>)[key]).toEqual(value);
    expect([sources[key], exists]).toEqual(["file", true]);
  });

  test.each(keys)("%s is read from its variable", (key, value, text) => {
    using data = dataDirectory({});
    const { config, sources } = loadConfig({ env: { ...data.env, [`BLF_${key.toUpperCase()}`]: text } });
    expect((config as Record<string, unknown>)[key]).toEqual(value);
    expect(sources[key]).toBe("environment");
  });

  test.each(keys.map(([key]) => [key]))("%s may be left out, and an empty variable counts as left out", (key) => {
    using data = dataDirectory({});
    const { config, sources } = loadConfig({ env: { ...data.env, [`BLF_${key.toUpperCase()}`]: "" } });
    expect(config).toHaveProperty([key]);
    expect(sources[key]).toBe("default");
  });
});

test("the engine's keys have variables of their own, which leave the file's others alone", () => {
  using data = dataDirectory({ engine: { isolation: "none", threads: 3 } });
  const engineOf = (env: Record<string, string>) => loadConfig({ env: { ...data.env, ...env } }).config.engine;
  expect(engineOf({})).toEqual({ isolation: "none", threads: 3 });
  expect(engineOf({ BLF_ENGINE_THREADS: "7" })).toEqual({ isolation: "none", threads: 7 });
  expect(engineOf({ BLF_ENGINE_ISOLATION: "process" })).toEqual({ isolation: "process", threads: 3 });
});

test("the original's default configuration is accepted as its README prints it, with an address", () => {
  using data = dataDirectory({
    node_address: address,
    keystore_path: "~/.blindference/keystore.json",
    tier: 0,
    supported_model_ids: ["facebook/opt-125m"],
    custom_backends: [],
    attestation_backend: "mock",
    icl_endpoint: "https://icl.blindference.xyz",
    fhenix_rpc: "https://testnet.fhenix.zone",
    ipfs_gateway: "https://node.lighthouse.storage",
    model_cache_dir: "~/.blindference/models",
    log_level: "INFO",
    network: "fhenix_testnet",
    attestation_cert_hash: "",
    attestation_expiry: 0,
    registered_on_chain: false,
    stake_amount_wei: 0,
    cofhe_mode: "bridge",
    cofhe_endpoint: "",
    cofhe_chain_id: 421614,
    skip_output_key_storage: false,
  });
  const { config } = loadConfig({ env: data.env });
  expect(config).toMatchObject({
    node_address: address,
    chain_id: 421_614,
    log_level: "info",
    rpc_url: "https://testnet.fhenix.zone",
    icl_endpoint: "https://icl.blindference.xyz",
  });
  expect(config.keystore_path).toMatch(/^\/.*\/\.blindference\/keystore\.json$/);
});

test.each(["DEBUG", "INFO", "WARNING", "ERROR"])("the original's log level %s", (level) => {
  using data = dataDirectory({});
  const { config } = loadConfig({ env: { ...data.env, BLF_LOG_LEVEL: level } });
  expect(config.log_level).toBe(level.toLowerCase().replace("warning", "warn") as "info");
});

test("the original's second name of the key store's address gives way to its first", () => {
  const other = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";
  expect(readEnvironment({ PROMPT_KEY_STORE_ADDRESS: address })).toEqual({ prompt_key_store_address: address });
  const both = { PROMPT_KEY_STORE_ADDRESS: other, BLF_PROMPT_KEY_STORE_ADDRESS: address };
  expect(readEnvironment(both)).toEqual({ prompt_key_store_address: address });
});

test("secrets and the data directory are variables but no keys", () => {
  const names = [
    "BLF_CONFIG_DIR",
    "BLF_KEY_PASSWORD",
    "BLF_KEY_PASSWORD_FILE",
    "BLF_PRIVATE_KEY",
    "BLF_IPFS_UPLOAD_JWT",
    "GROQ_API_KEY",
    "GOOGLE_API_KEY",
    "MOCK_ATTESTATION_KEY",
    "PINATA_JWT",
  ];
  expect(readEnvironment(Object.fromEntries(names.map((name) => [name, "x"])))).toEqual({});
  expect(Object.keys(variables()).filter((name) => names.includes(name))).toEqual([]);
});

test("what a key leaves open follows from the network and the data directory", () => {
  using data = dataDirectory({ network: "devnet" });
  expect(loadConfig({ env: data.env }).config).toMatchObject({
    dir: data.dir,
    chain_id: 31_337,
    rpc_url: "http://127.0.0.1:8545",
    icl_endpoint: "http://127.0.0.1:8546",
    payment_service_url: "http://127.0.0.1:8547",
    explorer: undefined,
    keystore_path: join(data.dir, "keystore.json"),
    model_cache_dir: join(data.dir, "models"),
  });
});

test("a relative path is taken from the data directory", () => {
  using data = dataDirectory({ keystore_path: "keys/mine.json", model_cache_dir: "./m" });
  const { config } = loadConfig({ env: data.env });
  expect([config.keystore_path, config.model_cache_dir]).toEqual([
    join(data.dir, "keys/mine.json"),
    join(data.dir, "m"),
  ]);
});
