import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Address, createPublicClient, http } from "viem";
import { nodeRegistryAbi } from "../../src/chain/abi/node-registry.ts";
import { outputs } from "../../src/cli/attest.ts";
import { type Devnet, startDevnet } from "../../src/devnet/devnet.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { createLogger } from "../../src/lib/log.ts";
import { createPrivateKey } from "../../src/wallet/private-key.ts";
import { walletFromPrivateKey } from "../../src/wallet/wallet.ts";
import { startDaemonProcess } from "./daemon.ts";
import { keystoreDirectory } from "./keystore-directory.ts";
import { runCli } from "./run-cli.ts";
import { runOnTerminal } from "./terminal.ts";

setDefaultTimeout(120_000);

const log = createLogger({ level: "error", format: "text", clock: systemClock, write: (line) => console.error(line) });
let devnet: Devnet;
let proxy: ReturnType<typeof recordingProxy>;

beforeAll(async () => {
  devnet = await startDevnet({ portBase: 0, clock: systemClock, log });
  proxy = recordingProxy(devnet.endpoints.icl);
});

afterAll(async () => {
  await proxy?.stop();
  await devnet?.stop();
});

beforeEach(() => {
  proxy.exchanges.length = 0;
});

type Exchange = { path: string; request: Record<string, unknown>; answer: Record<string, unknown> };

/** The coordinator, with what is said to it. */
function recordingProxy(target: string) {
  const exchanges: Exchange[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      const { pathname, search } = new URL(request.url);
      const body = await request.text();
      const init = { method: request.method, headers: request.headers, ...(body ? { body } : {}) };
      const response = await fetch(`${target}${pathname}${search}`, init).catch(() => undefined);
      if (!response) return new Response(null, { status: 502 });
      const text = await response.text();
      const parse = (json: string) => (json ? (JSON.parse(json) as Record<string, unknown>) : {});
      exchanges.push({ path: pathname, request: parse(body), answer: parse(text) });
      return new Response(text, { status: response.status, headers: { "Content-Type": "application/json" } });
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    exchanges,
    challenges: () => exchanges.filter(({ path }) => path.startsWith("/internal/challenge/")),
    stop: () => server.stop(true),
  };
}

/** A funded node of its own whose keystore opens at once. */
async function node() {
  const key = createPrivateKey();
  const { address } = walletFromPrivateKey(key);
  const directory = await keystoreDirectory(key, { network: "devnet", supported_model_ids: [] });
  await devnet.fund(address);
  const env = { ...devnet.variables, ...directory.unlocked, BLF_ICL_ENDPOINT: proxy.url, BLF_LOG_LEVEL: "error" };
  return { ...directory, address, env, config: () => readConfig(directory.dir) };
}

function readConfig(dir: string): Record<string, unknown> {
  return JSON.parse(readFileSync(join(dir, "config.json"), "utf8")) as Record<string, unknown>;
}

function documentOf({ code, stdout, stderr }: Awaited<ReturnType<typeof runCli>>): Record<string, unknown> {
  expect([code, stderr]).toEqual([0, ""]);
  const document = JSON.parse(stdout) as Record<string, unknown>;
  expect(outputs["attest"]!.safeParse(document).error).toBeUndefined();
  return document;
}

function registrationOf(address: Address) {
  const client = createPublicClient({ transport: http(devnet.endpoints.rpc) });
  return client.readContract({
    address: devnet.addresses.nodeRegistry,
    abi: nodeRegistryAbi,
    functionName: "getNode",
    args: [address],
  });
}

describe("attest", () => {
  test("gets a certificate and keeps it; nothing is sent to the chain", async () => {
    using own = await node();
    const document = documentOf(await runCli(["attest", "--json"], { env: own.env }));
    expect(document).toMatchObject({ address: own.address, tier: 0, reused: false, registration: null });
    expect(own.config()).toMatchObject({
      attestation_cert_hash: document["certHash"],
      attestation_expiry: Date.parse(document["expiresAt"] as string) / 1000,
      tier: 0,
    });
    expect(own.config()["registered_on_chain"]).toBeUndefined();
    expect((await registrationOf(own.address)).registeredAt).toBe(0n);
  });

  test("a node that starts after it does not attest again", async () => {
    using own = await node();
    const env = { ...own.env, BLF_MOCK_MODEL_IDS: "mock-b,mock-a", BLF_STATUS_PORT: "0", BLF_LOG_LEVEL: "info" };
    documentOf(await runCli(["attest", "--json"], { env: { ...env, BLF_LOG_LEVEL: "error" } }));
    const before = proxy.challenges().length;
    const daemon = await startDaemonProcess(env);
    expect((await daemon.stop()).code).toBe(0);
    expect(proxy.challenges().length).toBe(before);
  });

  test("an attestation that was interrupted before the registration goes on without a second challenge", async () => {
    using own = await node();
    const offline = { ...own.env, BLF_RPC_URL: "http://127.0.0.1:1" };
    const failed = await runCli(["attest", "--register", "--json"], { env: offline });
    expect(JSON.parse(failed.stdout)).toMatchObject({ ok: false, error: { code: "CHAIN_UNREACHABLE" } });
    expect(proxy.challenges()).toHaveLength(1);
    const certHash = own.config()["attestation_cert_hash"];

    const second = documentOf(await runCli(["attest", "--register", "--json"], { env: own.env }));
    expect(second).toMatchObject({ certHash, reused: true, registration: { registered: true, link: null } });
    expect((second["registration"] as { tx: string }).tx).toMatch(/^0x[0-9a-f]{64}$/);
    expect(proxy.challenges()).toHaveLength(1);
    const record = await registrationOf(own.address);
    expect(record.attestationHash as string).toBe(`${certHash}${"0".repeat(32)}`);
    expect(own.config()["registered_on_chain"]).toBe(true);

    const third = documentOf(await runCli(["attest", "--register", "--json"], { env: own.env }));
    expect(third["registration"]).toEqual({ registered: true, tx: null, link: null });
    expect((await registrationOf(own.address)).registeredAt).toBe(record.registeredAt);
  });

  test("a certificate for other models is not reused", async () => {
    using own = await node();
    documentOf(await runCli(["attest", "--json"], { env: own.env }));
    const env = { ...own.env, BLF_MOCK_MODEL_IDS: "mock-other" };
    const document = documentOf(await runCli(["attest", "--register", "--json"], { env }));
    expect(document).toMatchObject({ reused: false, models: ["mock-other"] });
    expect((await registrationOf(own.address)).models).toEqual(["mock-other"]);
  });

  test("names no model of a service that is not fit, and says why", async () => {
    using own = await node();
    const services = {
      BLF_VLLM_BASE_URL: "http://127.0.0.1:1",
      BLF_VLLM_MODELS: '{"opt":"facebook/opt-125m"}',
      BLF_GROQ_MODELS: "groq:llama-3.3-70b-versatile",
      BLF_LOG_LEVEL: "warn",
    };
    const result = await runCli(["attest", "--json"], {
      env: { ...own.env, ...services, BLF_MOCK_MODEL_IDS: "mock-a" },
    });
    expect(documentOf({ ...result, stderr: "" })).toMatchObject({ models: ["mock-a"] });
    const sent = proxy.exchanges.find(({ path }) => path === "/internal/attestation/verify")!.request;
    expect(sent["supportedModelIds"]).toEqual(["mock-a"]);
    expect(result.stderr).toContain("VLLM_UNREACHABLE");
    expect(result.stderr).toContain("GROQ_KEY_MISSING");
  });

  test("--tee-key really is the key of the quote, and a coordinator that does not know it refuses", async () => {
    using own = await node();
    const result = await runCli(["attest", "--mock", "--tee-key", "a key of mine", "--json"], { env: own.env });
    expect(JSON.parse(result.stdout)).toMatchObject({ ok: false, error: { code: "ICL_REJECTED" } });
    const { answer } = proxy.challenges()[0]!;
    const nonce = Buffer.from((answer["nonce"] as string).slice(2), "hex");
    const sent = proxy.exchanges.find(({ path }) => path === "/internal/attestation/verify")!.request;
    expect(sent["quote"]).toBe(createHmac("sha256", "a key of mine").update(nonce).digest("hex"));
    expect(result.stdout + result.stderr).not.toContain("a key of mine");
  });
});

describe("on a terminal", () => {
  test("the registration is asked for with its price, and a no sends nothing", async () => {
    using own = await node();
    await using terminal = runOnTerminal(["attest"], { env: own.env });
    await terminal.see("Register on chain for about 0.");
    terminal.type("n");
    await terminal.see("not registered: nothing was sent");
    expect(await terminal.ended).toBe(0);
    expect((await registrationOf(own.address)).registeredAt).toBe(0n);

    await using second = runOnTerminal(["attest", "--register"], { env: own.env });
    await second.see("Register on chain for about 0.");
    second.type("y");
    await second.see("of an earlier run and still valid");
    expect(await second.ended).toBe(0);
    expect((await registrationOf(own.address)).registeredAt).toBeGreaterThan(0n);
    expect(second.text()).toMatch(/on chain +0x[0-9a-f]{64}/);

    await using third = runOnTerminal(["attest"], { env: own.env });
    await third.see("registered before");
    expect(third.text()).not.toContain("Register on chain");
  });

  test("--yes does not ask, --no-register neither asks nor registers", async () => {
    using own = await node();
    await using no = runOnTerminal(["attest", "--no-register"], { env: own.env });
    await no.see("not registered (--register does it)");
    await using yes = runOnTerminal(["attest", "--register", "--yes"], { env: own.env });
    await yes.see("on chain");
    expect(await yes.ended).toBe(0);
    expect(yes.text()).not.toContain("Register on chain");
    expect((await registrationOf(own.address)).registeredAt).toBeGreaterThan(0n);
  });
});
