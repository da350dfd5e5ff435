import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { outputs } from "../../src/cli/config.ts";
import { configGroups, configKeys } from "../../src/config/schema.ts";
import { document } from "./document.ts";
import { failure } from "./expect-error.ts";
import { emptyDirectory, nodeDirectory } from "./node-directory.ts";
import { runCli } from "./run-cli.ts";

setDefaultTimeout(60_000);

const groups: string[] = configGroups;

type Listed = { key: string; value: unknown; source: string; variable: string };
type List = { values: Listed[]; secrets: { variable: string; set: boolean }[]; exists: boolean };
type Got = { value: unknown; source: string; variable: string };

const get = (key: string, env: Record<string, string>) =>
  document<Got>(["config", "get", key], { env }, outputs, "config get");
const list = (env: Record<string, string>) => document<List>(["config", "list"], { env }, outputs, "config list");

describe("config set and get", () => {
  test("a value of every kind goes into the file and comes out again", async () => {
    using directory = emptyDirectory();
    const { env, path } = directory;
    const cases: [string, string, unknown][] = [
      ["log_level", "WARNING", "warn"],
      ["max_fee_gwei", "2.5", 2.5],
      ["skip_output_key_storage", "yes", true],
      ["ipfs_gateways", "https://a.example, https://b.example/", ["https://a.example", "https://b.example"]],
      ["stake_amount_wei", "1000000000000000000000", "1000000000000000000000"],
      ["engine.threads", "3", 3],
      ["engine.isolation", "none", "none"],
      ["vllm.allow_http", "true", true],
      ["vllm.base_url", "http://10.1.2.3:8000/v1", "http://10.1.2.3:8000"],
      ["vllm.models", '{"opt":"facebook/opt-125m"}', { opt: "facebook/opt-125m" }],
      ["groq.models", "groq:llama-3.3-70b-versatile", ["groq:llama-3.3-70b-versatile"]],
      [
        "models",
        '{"m":{"path":"/m.gguf","max_tokens":8}}',
        { m: { path: "/m.gguf", context_size: 2048, max_tokens: 8, gpu_layers: 0 } },
      ],
    ];
    for (const [key, text] of cases) {
      const { code, stderr } = await runCli(["config", "set", key, text], { env });
      expect([key, code, stderr]).toEqual([key, 0, ""]);
    }
    for (const [key, , value] of cases) expect(await get(key, env)).toMatchObject({ value, source: "file" });
    expect(statSync(join(path, "config.json")).mode & 0o777).toBe(0o600);
    expect(JSON.parse(readFileSync(join(path, "config.json"), "utf8"))).toMatchObject({
      engine: { threads: 3, isolation: "none" },
    });
  });

  test("prints the bare value, and the same text can be set again", async () => {
    using node = nodeDirectory();
    const { stdout } = await runCli(["config", "get", "ipfs_gateways"], {
      env: { ...node.env, BLF_IPFS_GATEWAYS: "https://a.example,https://b.example" },
    });
    expect(stdout).toBe("https://a.example,https://b.example\n");
    const set = await document<object>(["config", "set", "ipfs_gateways", stdout.trim()], node, outputs, "config set");
    expect(set).toMatchObject({ value: ["https://a.example", "https://b.example"], overriddenBy: null });
  });

  test("what cannot be set is refused, and nothing is written", async () => {
    using node = nodeDirectory();
    const file = join(node.dir, "config.json");
    const before = readFileSync(file, "utf8");
    const lines: string[] = [];
    for (const args of [
      ["get", "log_levl"],
      ["get", "xyzzy"],
      ["set", "engine.thread", "1"],
      ["set", "engine", "{}"],
      ["set", "max_fee_gwei", "1e3"],
      ["set", "status_port", "70000"],
      ["set", "zdr_compliant", "maybe"],
      ["set", "log_level", "loud"],
      ["set", "rpc_url", "http://example.org"],
      ["set", "node_address", "0x1"],
      ["set", "models", "{"],
      ["set", "models", '{"m":{"path":"/m","gpu":1}}'],
      ["set", "models", '{"m":{}}'],
    ])
      lines.push(await failure(["config", ...args], node, node.dir));
    expect(readFileSync(file, "utf8")).toBe(before);
    expect(lines).toMatchInlineSnapshot(`
      [
        "2 There is no key "log_levl" [CONFIG_UNKNOWN_KEY] | Did you mean "log_level"?",
        "2 There is no key "xyzzy" [CONFIG_UNKNOWN_KEY] | Run \`blindference config list\` to see the keys.",
        "2 There is no key "engine.thread" [CONFIG_UNKNOWN_KEY] | Did you mean "engine.threads"?",
        "2 There is no key "engine" [CONFIG_UNKNOWN_KEY] | Run \`blindference config list\` to see the keys.",
        "2 "max_fee_gwei" must be a number [CONFIG_INVALID] | Run \`blindference config get max_fee_gwei\` to see how its value is written.",
        "2 "status_port" is not valid: Too big: expected number to be <=65535 [CONFIG_INVALID] | Nothing was written: give another value.",
        "2 "zdr_compliant" must be true or false [CONFIG_INVALID] | Run \`blindference config get zdr_compliant\` to see how its value is written.",
        "2 "log_level" is not valid: Invalid option: expected one of "debug"|"info"|"warn"|"error" [CONFIG_INVALID] | Nothing was written: give another value.",
        "2 "rpc_url" is not valid: must be an https:// URL (http:// only for 127.0.0.1) [CONFIG_INVALID] | Nothing was written: give another value.",
        "2 "node_address" is not valid: must be an address (0x and 40 hex digits) [CONFIG_INVALID] | Nothing was written: give another value.",
        "2 "models" must be JSON [CONFIG_INVALID] | Run \`blindference config get models\` to see how its value is written.",
        "2 There is no key "models.m.gpu" [CONFIG_INVALID] | Nothing was written: leave it out.",
        "2 "models.m.path" is not valid: Invalid input: expected string, received undefined [CONFIG_INVALID] | Nothing was written: give another value.",
      ]
    `);
  });

  test("a wrong value in the file can be mended with it", async () => {
    using node = nodeDirectory({ log_level: "loud" });
    expect(await failure(["config", "list"], node, node.dir)).toStartWith(
      '1 "log_level" of DIR/config.json is not valid',
    );
    expect((await runCli(["config", "set", "log_level", "info"], node)).code).toBe(0);
    expect(await get("log_level", node.env)).toMatchObject({ value: "info", source: "file" });
  });

  test("says that the environment overrides what was set", async () => {
    using node = nodeDirectory();
    const env = { ...node.env, BLF_LOG_LEVEL: "error" };
    const { stderr } = await runCli(["config", "set", "log_level", "debug"], { env });
    expect(stderr).toBe("BLF_LOG_LEVEL of the environment overrides it\n");
    expect(await get("log_level", env)).toMatchObject({ value: "error", source: "environment" });
  });
});

describe("config list", () => {
  test("shows every key with where its value comes from", async () => {
    using node = nodeDirectory({ engine: { threads: 2 } });
    const { values, exists } = await list({ ...node.env, BLF_ENGINE_ISOLATION: "none", BLF_MAX_FEE_GWEI: "3" });
    expect(exists).toBe(true);
    const names = values.map(({ key }) => key);
    expect(names).toEqual(expect.arrayContaining(configKeys.filter((key) => !groups.includes(key))));
    expect(new Set(names).size).toBe(names.length);
    const at = (name: string) => values.find(({ key }) => key === name);
    expect(at("engine.threads")).toMatchObject({ value: 2, source: "file", variable: "BLF_ENGINE_THREADS" });
    expect(at("engine.isolation")).toMatchObject({ value: "none", source: "environment" });
    expect(at("max_fee_gwei")).toMatchObject({ value: 3, source: "environment" });
    expect(at("network")).toMatchObject({ value: "devnet", source: "file" });
    expect(at("max_concurrent_jobs")).toMatchObject({ value: 2, source: "default" });
    expect(at("prompt_key_store_address")?.variable).toBe("BLF_PROMPT_KEY_STORE_ADDRESS");
  });

  test("never shows a secret, nor the key in a URL", async () => {
    using node = nodeDirectory();
    const secrets = {
      BLF_KEY_PASSWORD: "canary-password",
      BLF_PRIVATE_KEY: "canary-key",
      PINATA_JWT: "canary-jwt",
      GROQ_API_KEY: "canary-groq",
    };
    const env = {
      ...node.env,
      ...secrets,
      BLF_RPC_URL: "https://rpc.example/v2/canary0123456789abcdef",
      BLF_ICL_ENDPOINT: "https://user:canary@icl.example",
    };
    const shown = await list(env);
    expect(
      shown.secrets
        .filter(({ set }) => set)
        .map(({ variable }) => variable)
        .sort(),
    ).toEqual(Object.keys(secrets).sort());
    const text = await runCli(["config", "list"], { env });
    expect(text.code).toBe(0);
    expect(JSON.stringify(shown) + text.stdout + text.stderr).not.toContain("canary");
    expect(text.stdout).toMatch(/^rpc_url +environment +https:\/\/rpc\.example\/…$/m);
    expect(text.stdout).toMatch(/^GROQ_API_KEY +environment +\(set\)$/m);
  });

  test("works without a node, and makes none", async () => {
    using directory = emptyDirectory();
    const { exists, values } = await list(directory.env);
    expect(exists).toBe(false);
    expect(values.filter(({ source }) => source !== "default")).toEqual([]);
    expect(existsSync(directory.path)).toBe(false);
  });
});

test("config path prints where the file is, or would be", async () => {
  using directory = emptyDirectory();
  const file = join(directory.path, "config.json");
  expect((await runCli(["config", "path"], directory)).stdout).toBe(`${file}\n`);
  expect(await document<object>(["config", "path"], directory, outputs, "config path")).toMatchObject({
    path: file,
    exists: false,
  });
});
