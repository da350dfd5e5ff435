import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { readEnvironment, variables } from "../../src/config/environment.ts";
import { loadConfig } from "../../src/config/load.ts";
import { configGroups, configKeys } from "../../src/config/schema.ts";
import { expectCode } from "../crypto/expect-code.ts";
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
  ["npm_registry_url", "https://npm.example.org", "https://npm.example.org/"],
  ["mock_model_ids", ["mock:a"], "mock:a"],
  ["log_format", "json", "json"],
  ["staking_address", address, address],
  ["node_registry_address", address, address],
  ["prompt_key_store_address", address, address],
  ["reward_accumulator_address", address, address],
  ["payment_treasury_address", address, address],
  ["max_concurrent_jobs", 5, "5"],
  ["doppelganger_wait_s", 60, "60"],
  ["journal_retention_days", 30, "30"],
  ["max_fee_gwei", 0.5, "0.5"],
  ["status_host", "localhost", "localhost"],
  ["status_port", 0, "0"],
];

const groups: string[] = configGroups;

/** Keys within groups, their values, and the same as variables. */
const groupedKeys: [group: string, key: string, value: unknown, text: string][] = [
  ["vllm", "base_url", "https://gpu.example.org", "https://gpu.example.org/v1/"],
  ["vllm", "models", { "opt:125m": "facebook/opt-125m" }, '{"opt:125m":"facebook/opt-125m"}'],
  ["vllm", "max_tokens", 64, "64"],
  ["vllm", "timeout_s", 30, "30"],
  ["vllm", "max_concurrent", 8, "8"],
  ["vllm", "allow_http", true, "yes"],
  ["vllm", "send_top_k", false, "0"],
  ["groq", "base_url", "http://127.0.0.1:9", "http://127.0.0.1:9/"],
  ["groq", "models", ["groq:a", "groq:b"], "groq:a, groq:b"],
  ["gemini", "base_url", "https://g.example", "https://g.example"],
  ["gemini", "models", ["gemini:a"], "gemini:a"],
];

const keys = [...originalKeys, ...ownKeys];
const inFile = (value: unknown) => (typeof value === "bigint" ? value.toString() : value);

describe("every key", () => {
  test("is in these tables", () => {
    expect(keys.map(([key]) => key).sort()).toEqual(configKeys.filter((key) => !groups.includes(key)).sort());
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
  expect(engineOf({})).toMatchObject({ isolation: "none", threads: 3 });
  expect(engineOf({ BLF_ENGINE_THREADS: "7" })).toMatchObject({ isolation: "none", threads: 7 });
  expect(engineOf({ BLF_ENGINE_ISOLATION: "process" })).toMatchObject({ isolation: "process", threads: 3 });
});

describe("the keys of services that answer prompts", () => {
  const found = (config: object, group: string, key: string) =>
    (config as Record<string, Record<string, unknown>>)[group]?.[key];

  test("are all in this table", () => {
    const { config } = loadConfig({ env: { BLF_CONFIG_DIR: "/nonexistent" } });
    const all = (["vllm", "groq", "gemini"] as const).flatMap((group) =>
      Object.keys(config[group]).map((key) => `${group}.${key}`),
    );
    expect(groupedKeys.map(([group, key]) => `${group}.${key}`).sort()).toEqual(all.sort());
  });

  test.each(
    groupedKeys,
  )("%s.%s is read from config.json, and from its variable beside the file's others", (group, key, value, text) => {
    using file = dataDirectory({ [group]: { [key]: value } });
    expect(found(loadConfig({ env: file.env }).config, group, key)).toEqual(value);
    const other = groupedKeys.find(([name, inner]) => name === group && inner !== key)!;
    using beside = dataDirectory({ [group]: { [other[1]]: other[2] } });
    const env = { ...beside.env, [`BLF_${group}_${key}`.toUpperCase()]: text };
    const { config } = loadConfig({ env });
    expect(found(config, group, key)).toEqual(value);
    expect(found(config, group, other[1])).toEqual(other[2]);
  });

  test("have the network's values when nothing is said", () => {
    const { config } = loadConfig({ env: { BLF_CONFIG_DIR: "/nonexistent" } });
    expect([config.vllm, config.groq, config.gemini]).toEqual([
      {
        base_url: "",
        models: {},
        max_tokens: 2048,
        timeout_s: 300,
        max_concurrent: 4,
        allow_http: false,
        send_top_k: true,
      },
      { base_url: "https://api.groq.com", models: [] },
      { base_url: "https://generativelanguage.googleapis.com", models: [] },
    ]);
  });

  test.each([
    [{ vllm: { base_url: "http://10.0.0.5:8000" } }, '"vllm.base_url"', "BLF_VLLM_BASE_URL"],
    [{ vllm: { base_url: "https://me:pw@gpu.example" } }, '"vllm.base_url"', "BLF_VLLM_BASE_URL"],
    [{ vllm: { base_url: "ftp://gpu.example", allow_http: true } }, '"vllm.base_url"', "BLF_VLLM_BASE_URL"],
    [{ vllm: { models: { a: "" } } }, '"vllm.models.a"', "BLF_VLLM_MODELS"],
    [{ groq: { models: ["llama-3.3-70b-versatile"] } }, '"groq.models.0"', "BLF_GROQ_MODELS"],
    [{ groq: { base_url: "http://api.groq.com" } }, '"groq.base_url"', "BLF_GROQ_BASE_URL"],
    [{ gemini: { models: ["gemini:"] } }, '"gemini.models.0"', "BLF_GEMINI_MODELS"],
  ])("%j is refused, with the key and its variable", async (values, key, variable) => {
    using data = dataDirectory(values);
    const error = await expectCode(() => loadConfig({ env: data.env }), "CONFIG_INVALID");
    expect(error.message).toStartWith(`${key} of `);
    expect(error.hint).toContain(`${variable}.`);
    expect(error.message).not.toContain("me:pw");
  });

  test("plain HTTP reaches another machine only when that is allowed in words", () => {
    using data = dataDirectory({ vllm: { base_url: "http://10.0.0.5:8000/v1", allow_http: true } });
    expect(loadConfig({ env: data.env }).config.vllm.base_url).toBe("http://10.0.0.5:8000");
  });

  test("a key that is none is answered with the one that was meant", async () => {
    using data = dataDirectory({ vllm: { baseurl: "https://gpu.example" } });
    const error = await expectCode(() => loadConfig({ env: data.env }), "CONFIG_UNKNOWN_KEY");
    expect(error.hint).toBe('Did you mean "base_url"?');
  });
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
