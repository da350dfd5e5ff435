import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type Hex, http, type PrivateKeyAccount } from "viem";
import { type CofheOptions, createCofhe } from "../../src/cofhe/client.ts";
import type { Cofhe, EncryptedKey } from "../../src/cofhe/cofhe.ts";
import type { KeyHalves } from "../../src/crypto/key-halves.ts";
import { parseJson } from "../../src/lib/json.ts";
import { failWith, type RpcRule, startRpcProxy } from "../helpers/rpc-proxy.ts";
import { type Network, startNetwork } from "./network.ts";
import { createTestClock, createWitness, type Witness } from "./witness.ts";

setDefaultTimeout(60_000);

const hour = 3_600_000;
let network: Network;
let witness: Witness;
const open: Cofhe[] = [];

beforeAll(async () => {
  network = await startNetwork(31_337);
});
afterAll(() => network.close());
beforeEach(() => {
  witness = createWitness();
});
afterEach(async () => {
  for (const cofhe of open.splice(0)) await cofhe.close();
  witness.close();
  witness.assertDiscreet();
});

function client(account: PrivateKeyAccount, options: Partial<CofheOptions> = {}): Cofhe {
  const { rpcUrl, chainId } = network;
  const cofhe = createCofhe({ account, rpcUrl, chainId, clock: createTestClock(), log: witness.log, ...options });
  open.push(cofhe);
  return cofhe;
}

/** Of a transaction that no chain has. */
const hashOfNothing: Hex = `0x${"5".repeat(64)}`;

const soon = () => AbortSignal.timeout(20_000);

/** A key that a user encrypted and stored for one node. */
async function storedKey(options: { allowed: PrivateKeyAccount; by?: PrivateKeyAccount }) {
  const user = options.by ?? network.account();
  const key = witness.key();
  const [encrypted] = await client(user).encryptKeys([key], soon());
  const handles = await network.storeKey(user, encrypted!, [options.allowed.address]);
  return { key, handles };
}

/** Stores what the user encrypted, and reads it as the node. */
async function assertReadable(key: KeyHalves, [encrypted]: EncryptedKey[]): Promise<void> {
  const handles = await network.storeKey(accounts.user, encrypted!, [accounts.node.address]);
  expect(await client(accounts.node).decryptKey(handles, soon())).toEqual(key);
}

const accounts = {} as Record<"user" | "node" | "stranger", ReturnType<Network["account"]>>;
beforeAll(() => {
  for (const name of ["user", "node", "stranger"] as const) accounts[name] = network.account();
});

describe("decryptKey", () => {
  test("gives an allowed node both halves, and needs one permit for many keys", async () => {
    const node = witness.account(accounts.node);
    const cofhe = client(node);
    for (let round = 0; round < 3; round++) {
      const { key, handles } = await storedKey({ by: accounts.user, allowed: node });
      expect(await cofhe.decryptKey(handles, soon())).toEqual(key);
    }
    expect(node.permits).toHaveLength(1);
  });

  test("callers that come together share one permit", async () => {
    const node = witness.account(accounts.node);
    const cofhe = client(node);
    const { key, handles } = await storedKey({ by: accounts.user, allowed: node });
    const all = await Promise.all(Array.from({ length: 5 }, () => cofhe.decryptKey(handles, soon())));
    expect(all).toEqual(Array.from({ length: 5 }, () => key));
    expect(node.permits).toHaveLength(1);
  });

  test("refuses a stranger, after it has tried as often as it was told and each time with another permit", async () => {
    const { handles } = await storedKey({ by: accounts.user, allowed: accounts.node });
    const stranger = witness.account(accounts.stranger);
    const cofhe = client(stranger, { retries: { attempts: 3, initialMs: 1, maxMs: 1 } });
    const error = await witness.failure(cofhe.decryptKey(handles, soon()));
    expect(error).toMatchObject({ code: "COFHE_NOT_ALLOWED", retryable: false, cause: undefined });
    expect(stranger.permits).toHaveLength(3);
  });

  test("refuses a key of which one half is not for this node", async () => {
    const mine = await storedKey({ by: accounts.user, allowed: accounts.node });
    const other = await storedKey({ by: accounts.user, allowed: accounts.stranger });
    const handles = { high: mine.handles.high, low: other.handles.low };
    const error = await witness.failure(client(accounts.node).decryptKey(handles, soon()));
    expect(error.code).toBe("COFHE_NOT_ALLOWED");
  });

  test("refuses a handle that nobody made", async () => {
    const handle = (12_345n << 16n) | (6n << 8n);
    const error = await witness.failure(client(accounts.node).decryptKey({ high: handle, low: handle }, soon()));
    expect(error.code).toBe("COFHE_NOT_ALLOWED");
  });

  test.each([
    ["COFHE_HANDLE_ZERO", 0n, 1n],
    ["COFHE_HANDLE_ZERO", 1n, 0n],
    ["COFHE_HANDLE_INVALID", 1n << 256n, 1n],
    ["COFHE_HANDLE_INVALID", 1n, -1n],
  ])("%s for %p and %p, before anything is sent", async (code, high, low) => {
    const cofhe = client(accounts.node, { rpcUrl: "http://127.0.0.1:1" });
    expect((await witness.failure(cofhe.decryptKey({ high, low }, soon()))).code).toBe(code);
  });

  test("renews its permit when less than an hour is left, and when it has expired", async () => {
    const node = witness.account(accounts.node);
    const clock = createTestClock();
    const cofhe = client(node, { clock });
    const { key, handles } = await storedKey({ by: accounts.user, allowed: node });
    const permitsAfter = async (ms: number) => {
      clock.forward(ms);
      expect(await cofhe.decryptKey(handles, soon())).toEqual(key);
      return node.permits.length;
    };
    expect(await permitsAfter(0)).toBe(1);
    expect(await permitsAfter(7 * 24 * hour - hour - 60_000)).toBe(1);
    expect(await permitsAfter(2 * 60_000)).toBe(2);
    expect(await permitsAfter(30 * 24 * hour)).toBe(3);
  });

  test("says that the RPC is down, and works again once it is back", async () => {
    const { key, handles } = await storedKey({ by: accounts.user, allowed: accounts.node });
    let up = false;
    const relay = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) =>
        up
          ? fetch(network.rpcUrl, { method: "POST", headers: request.headers, body: await request.text() })
          : new Response("bad gateway", { status: 502 }),
    });
    const cofhe = client(accounts.node, { rpcUrl: `http://127.0.0.1:${relay.port}` });
    const error = await witness.failure(cofhe.decryptKey(handles, soon()));
    expect(error).toMatchObject({ code: "COFHE_RPC_UNREACHABLE", retryable: true, cause: undefined });
    up = true;
    expect(await cofhe.decryptKey(handles, soon())).toEqual(key);
    up = false;
    expect((await witness.failure(cofhe.decryptKey(handles, soon()))).code).toBe("COFHE_RPC_UNREACHABLE");
    up = true;
    expect(await cofhe.decryptKey(handles, soon())).toEqual(key);
    await relay.stop(true);
  });

  test("ends with the signal's own reason, at once, when the RPC hangs", async () => {
    const called = Promise.withResolvers<void>();
    const hanging = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: () => {
        called.resolve();
        return new Promise<Response>(() => {});
      },
    });
    const rpcUrl = `http://127.0.0.1:${hanging.port}`;
    const stop = new AbortController();
    const call = client(accounts.node, { rpcUrl }).decryptKey({ high: 1n, low: 1n }, stop.signal);
    await called.promise;
    const reason = new Error("the claim's deadline passed");
    stop.abort(reason);
    expect(await call.catch((error: unknown) => error)).toBe(reason);

    const impatient = client(accounts.node, { rpcUrl, limits: { decryptMs: 30 } });
    const error = await witness.failure(impatient.decryptKey({ high: 1n, low: 1n }, soon()));
    expect(error).toMatchObject({ code: "COFHE_TIMEOUT", retryable: true });

    const closed = client(accounts.node, { rpcUrl });
    const pending = witness.failure(closed.decryptKey({ high: 1n, low: 1n }, soon()));
    await closed.close();
    expect((await pending).code).toBe("COFHE_CLOSED");
    await hanging.stop(true);
  });

  test("takes the answers of an RPC that is out of order for a failure that passes", async () => {
    for (const garbage of ["{}", "[]", "null", "<html>", ""]) {
      const broken = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response(garbage) });
      const lost = client(accounts.node, { rpcUrl: `http://127.0.0.1:${broken.port}` });
      const decryption = witness.failure(lost.decryptKey({ high: 1n, low: 1n }, soon()));
      expect(await decryption).toMatchObject({ retryable: true });
      expect(await witness.failure(lost.encryptKeys([witness.key()], soon()))).toMatchObject({ retryable: true });
      await broken.stop(true);
    }
  });

  test("decrypts as soon as the RPC works again", async () => {
    let isBroken = true;
    const proxy = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) => (isBroken ? new Response("{}") : fetch(network.rpcUrl, request)),
    });
    const key = witness.key();
    const [encrypted] = await client(accounts.user).encryptKeys([key], soon());
    const handles = await network.storeKey(accounts.user, encrypted!, [accounts.node.address]);
    const recovering = client(accounts.node, {
      rpcUrl: `http://127.0.0.1:${proxy.port}`,
      retries: { attempts: 100, initialMs: 10, maxMs: 20 },
    });
    const decryption = recovering.decryptKey(handles, soon());
    await Bun.sleep(100);
    isBroken = false;
    expect(await decryption).toEqual(key);
    await proxy.stop(true);
  });

  test("refuses an RPC of another chain and a chain without CoFHE", async () => {
    const wrong = client(accounts.node, { chainId: 421_614 });
    expect((await witness.failure(wrong.decryptKey({ high: 1n, low: 1n }, soon()))).code).toBe("COFHE_WRONG_CHAIN");
    expect(() => client(accounts.node, { chainId: 1 })).toThrow("CoFHE is not available on this chain");
  });
});

describe("encryptKeys", () => {
  test("encrypts eight keys at once, in their order, for this wallet only", async () => {
    const keys = Array.from({ length: 8 }, () => witness.key());
    const cofhe = client(accounts.user);
    const encrypted = await cofhe.encryptKeys(keys, soon());
    expect(encrypted).toHaveLength(8);
    const { node } = accounts;
    const read = client(node);
    for (const index of [0, 3, 7]) {
      const handles = await network.storeKey(accounts.user, encrypted[index]!, [node.address]);
      expect(await read.decryptKey(handles, soon())).toEqual(keys[index]!);
    }
    expect(encrypted[0]!.high).toMatchObject({ securityZone: 0, utype: 6 });
    await expect(network.storeKey(accounts.stranger, encrypted[1]!, [])).rejects.toThrow();
  });

  test("sends nothing from the node's own account", async () => {
    const account = network.account();
    await client(account).encryptKeys([witness.key()], soon());
    const body = { jsonrpc: "2.0", id: 1, method: "eth_getTransactionCount", params: [account.address, "latest"] };
    const headers = { "content-type": "application/json" };
    const response = await fetch(network.rpcUrl, { method: "POST", headers, body: JSON.stringify(body) });
    expect(await response.json()).toMatchObject({ result: "0x0" });
  });

  test("accepts the extremes of a half, and nothing beyond them", async () => {
    const cofhe = client(accounts.user);
    const max = (1n << 128n) - 1n;
    const extremes = { high: 0n, low: max };
    await assertReadable(extremes, await cofhe.encryptKeys([extremes], soon()));
    expect(await cofhe.encryptKeys([], soon())).toEqual([]);
    const nine = Array.from({ length: 9 }, () => witness.key());
    for (const keys of [nine, [{ high: max + 1n, low: 0n }], [{ high: 0n, low: -1n }]])
      expect((await witness.failure(cofhe.encryptKeys(keys, soon()))).code).toBe("COFHE_INPUT_INVALID");
  });

  test("says that the RPC is down", async () => {
    const cofhe = client(accounts.user, { rpcUrl: "http://127.0.0.1:1" });
    const error = await witness.failure(cofhe.encryptKeys([witness.key()], soon()));
    expect(error).toMatchObject({ code: "COFHE_RPC_UNREACHABLE", retryable: true, cause: undefined });
  });

  test.each([
    undefined,
    null,
    {},
    "0x",
    hashOfNothing,
  ])("gives no key whose registration the RPC answered with %p", async (result) => {
    const proxy = await startRpcProxy(network.rpcUrl);
    proxy.rule("eth_sendTransaction", () => ({ result }));
    const key = witness.key();
    const cofhe = client(accounts.user, { rpcUrl: proxy.url });
    const error = await witness.failure(cofhe.encryptKeys([key], soon()));
    expect(error).toMatchObject({ code: "COFHE_VERIFIER_FAILED", retryable: true, cause: undefined });
    proxy.rule("eth_sendTransaction", undefined);
    await assertReadable(key, await cofhe.encryptKeys([key], soon()));
    await proxy.stop();
  });

  test("waits for a registration whose receipt the RPC does not give at first", async () => {
    const proxy = await startRpcProxy(network.rpcUrl);
    const refusals: RpcRule[] = [() => ({ result: undefined }), () => ({ result: null }), failWith(502)];
    proxy.rule("eth_getTransactionReceipt", (call, forward) => (refusals.shift() ?? forward)(call, forward));
    const key = witness.key();
    await assertReadable(key, await client(accounts.user, { rpcUrl: proxy.url }).encryptKeys([key], soon()));
    expect(refusals).toEqual([]);
    await proxy.stop();
  });

  test("says that the chain has no CoFHE contracts", async () => {
    const bare = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) => {
        const { id, method } = (await request.json()) as { id: number; method: string };
        return Response.json({ jsonrpc: "2.0", id, result: method === "eth_chainId" ? "0x7a69" : "0x" });
      },
    });
    const cofhe = client(accounts.user, { rpcUrl: `http://127.0.0.1:${bare.port}` });
    expect((await witness.failure(cofhe.encryptKeys([witness.key()], soon()))).code).toBe("COFHE_NOT_DEPLOYED");
    const decryption = cofhe.decryptKey({ high: 1n, low: 1n }, soon());
    expect((await witness.failure(decryption)).code).toBe("COFHE_NOT_DEPLOYED");
    await bare.stop(true);
  });

  test("three processes encrypt at once, though they share the verifier's account", async () => {
    const children = Array.from({ length: 3 }, () => {
      const account = network.account();
      const task = { rpcUrl: network.rpcUrl, privateKey: account.privateKey satisfies Hex, rounds: 3 };
      const child = Bun.spawn([process.execPath, new URL("./encrypt-child.ts", import.meta.url).pathname], {
        stdin: new Blob([JSON.stringify(task)]),
        stdout: "pipe",
        stderr: "pipe",
      });
      return { account, child };
    });
    for (const { account, child } of children) {
      const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
      expect(stderr).toBe("");
      const made = parseJson(stdout) as { key: KeyHalves; encrypted: EncryptedKey }[];
      expect(made).toHaveLength(24);
      const { key, encrypted } = made[23]!;
      const handles = await network.storeKey(account, encrypted, [accounts.node.address]);
      expect(await client(accounts.node).decryptKey(handles, soon())).toEqual(key);
    }
  });
});

test("asks where its transport asks, whatever the first RPC does", async () => {
  const { handles, key } = await storedKey({ allowed: accounts.node });
  const transport = http(network.rpcUrl);
  const cofhe = client(accounts.node, { rpcUrl: "http://127.0.0.1:1", transport });
  expect(await cofhe.decryptKey(handles, soon())).toEqual(key);
});
