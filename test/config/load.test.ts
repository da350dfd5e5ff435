import { describe, expect, test } from "bun:test";
import { rmSync, symlinkSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { dataDirectory as chosenDirectory, loadConfig, maxFeePerGas, requireConfig } from "../../src/config/load.ts";
import { updateConfigFile } from "../../src/config/save.ts";
import { expectCode } from "../crypto/expect-code.ts";
import { dataDirectory } from "./directory.ts";

const uint256Max = 2n ** 256n - 1n;

/** Code, message and hint of what loading ends with, the directory's path taken out. */
async function errorOf(config: unknown, env: Record<string, string> = {}): Promise<string> {
  using data = dataDirectory(config);
  try {
    loadConfig({ env: { ...data.env, ...env } });
  } catch (error) {
    const { code, message, hint } = await expectCode(() => Promise.reject(error), (error as { code: string }).code);
    return `${message} [${code}] ${hint}`.replaceAll(data.dir, "DIR");
  }
  return "no error";
}

describe("precedence", () => {
  test("defaults < config.json < environment < flags", () => {
    using data = dataDirectory({ status_port: 1001, tier: 1, log_level: "error" });
    const env = { ...data.env, BLF_STATUS_PORT: "1002", BLF_TIER: "2" };
    const { config, sources } = loadConfig({ env, flags: { status_port: 1003 } });
    expect([config.max_concurrent_jobs, config.log_level, config.tier, config.status_port]).toEqual([
      2,
      "error",
      2,
      1003,
    ]);
    expect([sources["max_concurrent_jobs"], sources["log_level"], sources["tier"], sources["status_port"]]).toEqual([
      "default",
      "file",
      "environment",
      "flag",
    ]);
  });

  test("a list of the environment replaces the file's, it does not add to it", () => {
    using data = dataDirectory({ supported_model_ids: ["a", "b"] });
    const { config } = loadConfig({ env: { ...data.env, BLF_SUPPORTED_MODEL_IDS: "c" } });
    expect(config.supported_model_ids).toEqual(["c"]);
  });
});

describe("the data directory", () => {
  test("is BLF_CONFIG_DIR, or ~/.blindference", () => {
    expect(chosenDirectory({ BLF_CONFIG_DIR: "/data/node" })).toBe("/data/node");
    expect(chosenDirectory({ BLF_CONFIG_DIR: "~/node" })).toBe(join(homedir(), "node"));
    expect(chosenDirectory({ BLF_CONFIG_DIR: "" })).toBe(join(homedir(), ".blindference"));
    expect(chosenDirectory({})).toBe(join(homedir(), ".blindference"));
  });

  test("without a config.json there is no node", async () => {
    using data = dataDirectory();
    expect(loadConfig({ env: data.env }).exists).toBe(false);
    const error = await expectCode(() => requireConfig({ env: data.env }), "NOT_INITIALISED");
    expect(error.exitCode).toBe(3);
  });
});

describe("stake_amount_wei", () => {
  test.each<[string, string, bigint]>([
    ["an integer beyond 2^53", "1000000000000000000001", 1000000000000000000001n],
    ["2^256 - 1", String(uint256Max), uint256Max],
    ["a decimal text", '"9007199254740993"', 9007199254740993n],
    ["zero", "0", 0n],
  ])("%s is exact", (_name, text, value) => {
    using data = dataDirectory(`{"stake_amount_wei":${text}}`);
    expect(loadConfig({ env: data.env }).config.stake_amount_wei).toBe(value);
  });

  test.each([
    "-1",
    "1.5",
    '"1e3"',
    '"0x10"',
    '"-1"',
    "true",
    "null",
    "-115792089237316195423570985008687907853269984665",
  ])("%s is not an amount", async (text) => {
    expect(await errorOf(`{"stake_amount_wei":${text}}`)).toContain(
      '"stake_amount_wei" of DIR/config.json is not valid',
    );
  });
});

describe("errors", () => {
  test("of config.json", async () => {
    const cases: [string, unknown][] = [
      ["a slip in a key", { icl_endpont: "https://a.example" }],
      ["an unknown key", { something_else_entirely: 1 }],
      ["a slip in the engine", { engine: { thread: 1 } }],
      ["a slip in a model", { models: { m: { path: "/m.gguf", contxt_size: 1 } } }],
      ["a key named __proto__", '{"__proto__":{"tier":2}}'],
      ["a forged line in a key", { "tier\nINFO forged": 1 }],
      ["a number as text", { tier: "0" }],
      ["a tier of its own", { tier: 3 }],
      ["a network of its own", { network: "mainnet" }],
      ["a property of every object as a network", { network: "constructor" }],
      ["a broken address", { node_address: "0x123" }],
      ["plain HTTP", { icl_endpoint: "http://icl.blindference.xyz" }],
      ["plain HTTP to a private address", { rpc_url: "http://192.168.0.2:8545" }],
      ["a name that starts like loopback", { rpc_url: "http://127.0.0.1.example.org" }],
      ["plain HTTP in a list", { ipfs_gateways: ["https://a.example", "http://b.example"] }],
      ["a status server for everybody", { status_host: "0.0.0.0" }],
      ["a port that is none", { status_port: 65_536 }],
      ["a fee of nothing", { max_fee_gwei: 0 }],
      ["a model without a path", { models: { m: {} } }],
      ["a model's context", { models: { m: { path: "/m.gguf", context_size: 1 } } }],
      ["threads", { engine: { threads: -1 } }],
      ["a time that no calendar has", { attestation_expiry: 9_007_199_254_740_991 }],
      ["broken JSON", '{"tier": 0'],
      ["an empty file", ""],
      ["a list", []],
      ["null", "null"],
      ["a text", '"text"'],
      ["HTML", "<html></html>"],
    ];
    const lines: string[] = [];
    for (const [name, config] of cases) lines.push(`${name}: ${await errorOf(config)}`);
    expect(lines).toMatchInlineSnapshot(`
      [
        "a slip in a key: DIR/config.json has the unknown key "icl_endpont" [CONFIG_UNKNOWN_KEY] Did you mean "icl_endpoint"?",
        "an unknown key: DIR/config.json has the unknown key "something_else_entirely" [CONFIG_UNKNOWN_KEY] Remove it, or see the configuration table of the README.",
        "a slip in the engine: DIR/config.json has the unknown key "engine.thread" [CONFIG_UNKNOWN_KEY] Did you mean "threads"?",
        "a slip in a model: DIR/config.json has the unknown key "models.m.contxt_size" [CONFIG_UNKNOWN_KEY] Did you mean "context_size"?",
        "a key named __proto__: DIR/config.json has the unknown key "__proto__" [CONFIG_UNKNOWN_KEY] Remove it, or see the configuration table of the README.",
        "a forged line in a key: DIR/config.json has the unknown key "tier\\u000aINFO forged" [CONFIG_UNKNOWN_KEY] Remove it, or see the configuration table of the README.",
        "a number as text: "tier" of DIR/config.json is not valid: Invalid input: expected number, received string [CONFIG_INVALID] Correct it in the file, or set BLF_TIER.",
        "a tier of its own: "tier" of DIR/config.json is not valid: Too big: expected number to be <=2 [CONFIG_INVALID] Correct it in the file, or set BLF_TIER.",
        "a network of its own: "network" of DIR/config.json is not valid: must be one of arbitrum_sepolia, fhenix_testnet, devnet [CONFIG_INVALID] Correct it in the file, or set BLF_NETWORK.",
        "a property of every object as a network: "network" of DIR/config.json is not valid: must be one of arbitrum_sepolia, fhenix_testnet, devnet [CONFIG_INVALID] Correct it in the file, or set BLF_NETWORK.",
        "a broken address: "node_address" of DIR/config.json is not valid: must be an address (0x and 40 hex digits) [CONFIG_INVALID] Correct it in the file, or set BLF_NODE_ADDRESS.",
        "plain HTTP: "icl_endpoint" of DIR/config.json is not valid: must be an https:// URL (http:// only for 127.0.0.1) [CONFIG_INVALID] Correct it in the file, or set BLF_ICL_ENDPOINT.",
        "plain HTTP to a private address: "rpc_url" of DIR/config.json is not valid: must be an https:// URL (http:// only for 127.0.0.1) [CONFIG_INVALID] Correct it in the file, or set BLF_RPC_URL.",
        "a name that starts like loopback: "rpc_url" of DIR/config.json is not valid: must be an https:// URL (http:// only for 127.0.0.1) [CONFIG_INVALID] Correct it in the file, or set BLF_RPC_URL.",
        "plain HTTP in a list: "ipfs_gateways.1" of DIR/config.json is not valid: must be an https:// URL (http:// only for 127.0.0.1) [CONFIG_INVALID] Correct it in the file, or set BLF_IPFS_GATEWAYS.",
        "a status server for everybody: "status_host" of DIR/config.json is not valid: Invalid option: expected one of "127.0.0.1"|"localhost"|"::1" [CONFIG_INVALID] Correct it in the file, or set BLF_STATUS_HOST.",
        "a port that is none: "status_port" of DIR/config.json is not valid: Too big: expected number to be <=65535 [CONFIG_INVALID] Correct it in the file, or set BLF_STATUS_PORT.",
        "a fee of nothing: "max_fee_gwei" of DIR/config.json is not valid: Too small: expected number to be >0 [CONFIG_INVALID] Correct it in the file, or set BLF_MAX_FEE_GWEI.",
        "a model without a path: "models.m.path" of DIR/config.json is not valid: Invalid input: expected string, received undefined [CONFIG_INVALID] Correct it in the file, or set BLF_MODELS.",
        "a model's context: "models.m.context_size" of DIR/config.json is not valid: Too small: expected number to be >=64 [CONFIG_INVALID] Correct it in the file, or set BLF_MODELS.",
        "threads: "engine.threads" of DIR/config.json is not valid: Too small: expected number to be >=0 [CONFIG_INVALID] Correct it in the file, or set BLF_ENGINE_THREADS.",
        "a time that no calendar has: "attestation_expiry" of DIR/config.json is not valid: Too big: expected number to be <=253402300799 [CONFIG_INVALID] Correct it in the file, or set BLF_ATTESTATION_EXPIRY.",
        "broken JSON: DIR/config.json is not a JSON object [CONFIG_NOT_JSON] Mend the file; at worst replace it with {"node_address": "0x…"}, since everything else has a default.",
        "an empty file: DIR/config.json is not a JSON object [CONFIG_NOT_JSON] Mend the file; at worst replace it with {"node_address": "0x…"}, since everything else has a default.",
        "a list: DIR/config.json is not a JSON object [CONFIG_NOT_JSON] Mend the file; at worst replace it with {"node_address": "0x…"}, since everything else has a default.",
        "null: DIR/config.json is not a JSON object [CONFIG_NOT_JSON] Mend the file; at worst replace it with {"node_address": "0x…"}, since everything else has a default.",
        "a text: DIR/config.json is not a JSON object [CONFIG_NOT_JSON] Mend the file; at worst replace it with {"node_address": "0x…"}, since everything else has a default.",
        "HTML: DIR/config.json is not a JSON object [CONFIG_NOT_JSON] Mend the file; at worst replace it with {"node_address": "0x…"}, since everything else has a default.",
      ]
    `);
  });

  test("of the environment", async () => {
    const cases: Record<string, string>[] = [
      { BLF_NODE_ADRESS: "0x1" },
      { BLF_KEY_PASWORD: "hunter2" },
      { BLF_PRIVATEKEY: "hunter2" },
      { BLF_CONFIGDIR: "/data" },
      { BLF_XYZZY: "1" },
      { BLF_ENGINE: "{}" },
      { BLF_TIER: "one" },
      { BLF_TIER: "-1" },
      { BLF_TIER: "7" },
      { BLF_ZDR_COMPLIANT: "maybe" },
      { BLF_MODELS: "{" },
      { BLF_MODELS: "[]" },
      { BLF_MODELS: '{"m":{"path":""}}' },
      { BLF_IPFS_GATEWAYS: "https://a.example,ftp://b.example" },
      { BLF_STAKE_AMOUNT_WEI: "1e21" },
      { BLF_RPC_URL: "rpc.example.org" },
      { BLF_LOG_LEVEL: "LOUD" },
      { BLF_ENGINE_ISOLATION: "docker" },
      { BLF_ENGINE_THREADS: "1.5" },
      { PROMPT_KEY_STORE_ADDRESS: "0x1" },
    ];
    const lines: string[] = [];
    for (const env of cases) lines.push(await errorOf({}, env));
    expect(lines).toMatchInlineSnapshot(`
      [
        "The environment has the unknown variable BLF_NODE_ADRESS [CONFIG_UNKNOWN_VARIABLE] Did you mean BLF_NODE_ADDRESS?",
        "The environment has the unknown variable BLF_KEY_PASWORD [CONFIG_UNKNOWN_VARIABLE] Did you mean BLF_KEY_PASSWORD?",
        "The environment has the unknown variable BLF_PRIVATEKEY [CONFIG_UNKNOWN_VARIABLE] Did you mean BLF_PRIVATE_KEY?",
        "The environment has the unknown variable BLF_CONFIGDIR [CONFIG_UNKNOWN_VARIABLE] Did you mean BLF_CONFIG_DIR?",
        "The environment has the unknown variable BLF_XYZZY [CONFIG_UNKNOWN_VARIABLE] Unset it: unset BLF_XYZZY",
        "The environment has the unknown variable BLF_ENGINE [CONFIG_UNKNOWN_VARIABLE] Unset it: unset BLF_ENGINE",
        "BLF_TIER must be a number [CONFIG_INVALID] Correct or unset BLF_TIER.",
        "BLF_TIER must be a number [CONFIG_INVALID] Correct or unset BLF_TIER.",
        ""tier" of the environment is not valid: Too big: expected number to be <=2 [CONFIG_INVALID] Correct or unset BLF_TIER.",
        "BLF_ZDR_COMPLIANT must be true or false [CONFIG_INVALID] Correct or unset BLF_ZDR_COMPLIANT.",
        "BLF_MODELS must be JSON [CONFIG_INVALID] Correct or unset BLF_MODELS.",
        ""models" of the environment is not valid: Invalid input: expected record, received array [CONFIG_INVALID] Correct or unset BLF_MODELS.",
        ""models.m.path" of the environment is not valid: Too small: expected string to have >=1 characters [CONFIG_INVALID] Correct or unset BLF_MODELS.",
        ""ipfs_gateways.1" of the environment is not valid: must be an https:// URL (http:// only for 127.0.0.1) [CONFIG_INVALID] Correct or unset BLF_IPFS_GATEWAYS.",
        ""stake_amount_wei" of the environment is not valid: must be a whole number of wei [CONFIG_INVALID] Correct or unset BLF_STAKE_AMOUNT_WEI.",
        ""rpc_url" of the environment is not valid: must be an https:// URL (http:// only for 127.0.0.1) [CONFIG_INVALID] Correct or unset BLF_RPC_URL.",
        ""log_level" of the environment is not valid: Invalid option: expected one of "debug"|"info"|"warn"|"error" [CONFIG_INVALID] Correct or unset BLF_LOG_LEVEL.",
        ""engine.isolation" of the environment is not valid: Invalid option: expected one of "process"|"none" [CONFIG_INVALID] Correct or unset BLF_ENGINE_ISOLATION.",
        ""engine.threads" of the environment is not valid: Invalid input: expected int, received number [CONFIG_INVALID] Correct or unset BLF_ENGINE_THREADS.",
        ""prompt_key_store_address" of the environment is not valid: must be an address (0x and 40 hex digits) [CONFIG_INVALID] Correct or unset BLF_PROMPT_KEY_STORE_ADDRESS.",
      ]
    `);
    expect(lines.join()).not.toContain("hunter2");
  });

  test("of a config.json that cannot be read", async () => {
    using data = dataDirectory();
    symlinkSync(data.dir, data.path);
    await expectCode(() => loadConfig({ env: data.env }), "FILE_EISDIR");
    rmSync(data.path);
  });
});

test("no key of config.json can reach the prototype of anything", async () => {
  using data = dataDirectory('{"models":{"__proto__":{"path":"/m.gguf"}},"engine":{"threads":1}}');
  try {
    const { config } = loadConfig({ env: data.env });
    expect(Object.getPrototypeOf(config.models)).toBe(Object.prototype);
    expect((config.models as Record<string, unknown>)["path"]).toBeUndefined();
  } catch (error) {
    await expectCode(() => Promise.reject(error), "CONFIG_INVALID");
  }
  expect(({} as { path?: string }).path).toBeUndefined();
});

test("the fee cap in wei", () => {
  using data = dataDirectory({ max_fee_gwei: 0.1 });
  expect(maxFeePerGas(loadConfig({ env: data.env }).config)).toBe(100_000_000n);
});

describe("updateConfigFile", () => {
  test("changes what it is given, keeps the rest, and takes nothing from the environment", () => {
    using data = dataDirectory({
      tier: 1,
      network: "devnet",
      custom_backends: ["/b.ts"],
      models: { m: { path: "/m" } },
    });
    process.env["BLF_TIER"] = "2";
    process.env["BLF_LOG_LEVEL"] = "debug";
    try {
      updateConfigFile(data.dir, { attestation_expiry: 1_750_000_000 });
    } finally {
      delete process.env["BLF_TIER"];
      delete process.env["BLF_LOG_LEVEL"];
    }
    expect(JSON.parse(data.text())).toEqual({
      tier: 1,
      network: "devnet",
      custom_backends: ["/b.ts"],
      models: { m: { path: "/m" } },
      attestation_expiry: 1_750_000_000,
    });
  });

  test("keeps big integers exact, its own and the file's", () => {
    using data = dataDirectory(`{"stake_amount_wei":${uint256Max}}`);
    updateConfigFile(data.dir, { tier: 1 });
    expect(data.text()).toContain(String(uint256Max));
    updateConfigFile(data.dir, { stake_amount_wei: uint256Max - 1n });
    expect(data.text()).toContain(String(uint256Max - 1n));
    expect(loadConfig({ env: data.env }).config.stake_amount_wei).toBe(uint256Max - 1n);
  });

  test("writes nothing that it could not read again", async () => {
    using data = dataDirectory({ tier: 1 });
    const before = data.text();
    await expectCode(() => updateConfigFile(data.dir, { tier: 9 }), "CONFIG_INVALID");
    await expectCode(() => updateConfigFile(data.dir, { typo: 1 } as never), "CONFIG_UNKNOWN_KEY");
    expect(data.text()).toBe(before);
  });

  test("does not replace a file that it cannot read", async () => {
    using data = dataDirectory("{broken");
    await expectCode(() => updateConfigFile(data.dir, { tier: 1 }), "CONFIG_NOT_JSON");
    expect(data.text()).toBe("{broken");
  });

  test("makes the directory and the file for this user only", async () => {
    using data = dataDirectory();
    const dir = join(data.dir, "new");
    updateConfigFile(dir, { network: "devnet" });
    const mode = async (path: string) => ((await Bun.file(path).stat()).mode & 0o777).toString(8);
    expect([await mode(dir), await mode(join(dir, "config.json"))]).toEqual(["700", "600"]);
  });
});
