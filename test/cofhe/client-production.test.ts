import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { PrivateKeyAccount } from "viem";
import { type CofheOptions, createCofhe } from "../../src/cofhe/client.ts";
import type { Cofhe, KeyHandles } from "../../src/cofhe/cofhe.ts";
import { cofheError } from "../../src/cofhe/errors.ts";
import { createProver, type Prover } from "../../src/cofhe/prover.ts";
import type { ProofRequest } from "../../src/cofhe/prover-messages.ts";
import type { KeyHalves } from "../../src/crypto/key-halves.ts";
import { type FakeServices, startFakeServices } from "./fake-services.ts";
import { type Network, startNetwork } from "./network.ts";
import { createTestClock, createWitness, type Witness } from "./witness.ts";

setDefaultTimeout(60_000);

let network: Network;
let witness: Witness;
let fake: FakeServices;
const open: Cofhe[] = [];
let user: PrivateKeyAccount;
let node: PrivateKeyAccount;

beforeAll(async () => {
  network = await startNetwork(421_614);
  [user, node] = [network.account(), network.account()];
});
afterAll(() => network.close());
beforeEach(() => {
  witness = createWitness();
  const publicKey = `0x${"ab".repeat(10_000)}`;
  fake = startFakeServices({ rpcUrl: network.rpcUrl, publicKey, crs: `0x${"cd".repeat(64)}` });
});
afterEach(async () => {
  for (const cofhe of open.splice(0)) await cofhe.close();
  fake.close();
  witness.close();
  witness.assertDiscreet();
});

const soon = () => AbortSignal.timeout(20_000);

/** Makes bytes that the fake verifier takes on trust, and remembers what it was asked to prove. */
function trustingProver(): Prover & { asked: ProofRequest[] } {
  const asked: ProofRequest[] = [];
  return {
    asked,
    prove: async (request) => {
      asked.push(request);
      return new Uint8Array(randomBytes(400));
    },
    close: async () => {},
  };
}

function client(account: PrivateKeyAccount, options: Partial<CofheOptions> = {}): Cofhe {
  const { rpcUrl, chainId } = network;
  const { services } = fake;
  const base = { account, rpcUrl, chainId, services, clock: createTestClock(), log: witness.log };
  const cofhe = createCofhe({
    prover: trustingProver(),
    retries: { attempts: 3, initialMs: 1, maxMs: 1 },
    ...base,
    ...options,
  });
  open.push(cofhe);
  return cofhe;
}

async function encrypt(keys: KeyHalves[], options: Partial<CofheOptions> = {}) {
  fake.expect(keys.flatMap(({ high, low }) => [high, low]));
  return client(user, options).encryptKeys(keys, soon());
}

async function storedKey(): Promise<{ key: KeyHalves; handles: KeyHandles }> {
  const key = witness.key();
  const [encrypted] = await encrypt([key]);
  return { key, handles: await network.storeKey(user, encrypted!, [node.address]) };
}

describe("decryptKey", () => {
  test("gives an allowed node both halves, also when the network takes its time", async () => {
    const { key, handles } = await storedKey();
    fake.processing = 1;
    expect(await client(node).decryptKey(handles, soon())).toEqual(key);
  });

  test("waits while the network is still computing the ciphertext (204)", async () => {
    const { key, handles } = await storedKey();
    let left = 1;
    fake.faults.submit = () => (left-- > 0 ? new Response(null, { status: 204 }) : undefined);
    expect(await client(node).decryptKey(handles, soon())).toEqual(key);
  });

  test("outlasts an access list that lags behind the chain", async () => {
    const { key, handles } = await storedKey();
    let left = 4;
    fake.faults.submit = () => (left-- > 0 ? Response.json({ error_message: "ACL" }, { status: 403 }) : undefined);
    const retries = { attempts: 4, initialMs: 1, maxMs: 1 };
    expect(await client(node, { retries }).decryptKey(handles, soon())).toEqual(key);
  });

  test("refuses a stranger", async () => {
    const { handles } = await storedKey();
    const stranger = witness.account(network.account());
    const error = await witness.failure(client(stranger).decryptKey(handles, soon()));
    expect(error).toMatchObject({ code: "COFHE_NOT_ALLOWED", retryable: false, cause: undefined });
    expect(stranger.permits).toHaveLength(3);
  });

  test.each<[string, keyof FakeServices["faults"], () => Response]>([
    ["COFHE_NOT_ALLOWED", "submit", () => Response.json({ error_message: "no" }, { status: 403 })],
    ["COFHE_HANDLE_UNKNOWN", "submit", () => Response.json({ message: "unknown ct" }, { status: 404 })],
    ["COFHE_UNAVAILABLE", "submit", () => new Response("x", { status: 502 })],
    ["COFHE_UNAVAILABLE", "submit", () => new Response("x", { status: 429 })],
    ["COFHE_UNAVAILABLE", "submit", () => new Response("<html>", { status: 200 })],
    ["COFHE_UNAVAILABLE", "submit", () => Response.json({ status: "PROCESSING" })],
    ["COFHE_UNAVAILABLE", "poll", () => Response.json({ error_message: "expired" }, { status: 404 })],
    ["COFHE_UNAVAILABLE", "poll", () => new Response("x", { status: 500 })],
    ["COFHE_ANSWER_INVALID", "poll", () => Response.json({ status: "COMPLETED", is_succeed: true })],
    ["COFHE_ANSWER_INVALID", "poll", () => Response.json(sealedForAnother)],
  ])("%s when the threshold network misbehaves at %s (%#)", async (code, route, fault) => {
    fake.faults[route] = fault;
    const account = witness.account(node);
    const error = await witness.failure(client(account).decryptKey({ high: 5n, low: 6n }, soon()));
    expect(error).toMatchObject({ code, cause: undefined });
    expect(account.permits.length).toBeGreaterThan(0);
  });

  test("says that the threshold network cannot be reached", async () => {
    const services = { ...fake.services, thresholdNetworkUrl: "http://127.0.0.1:1" };
    const call = client(witness.account(node), { services }).decryptKey({ high: 5n, low: 6n }, soon());
    expect(await witness.failure(call)).toMatchObject({ code: "COFHE_UNAVAILABLE", retryable: true });
  });

  test("stops asking once nobody waits any more", async () => {
    const stop = new AbortController();
    const polled = Promise.withResolvers<void>();
    fake.faults.poll = () => {
      polled.resolve();
      return Response.json({ request_id: "x", status: "PROCESSING", submitted_at: "" });
    };
    const call = client(node).decryptKey({ high: 5n, low: 6n }, stop.signal);
    await polled.promise;
    stop.abort(new Error("enough"));
    expect(await call.catch((error: Error) => error.message)).toBe("enough");
    // What must not happen can only be seen by waiting: the SDK polls once a second.
    const before = fake.requests.length;
    await Bun.sleep(1500);
    expect(fake.requests.length - before).toBeLessThanOrEqual(1);
  });

  test("refuses services in the clear that are not on this machine", () => {
    const services = { ...fake.services, verifierUrl: "http://example.com" };
    expect(() => client(node, { services })).toThrow("neither HTTPS nor on this machine");
  });
});

describe("encryptKeys", () => {
  test("proves all values at once, bound to zone, account and chain, and fetches the FHE keys once", async () => {
    const keys = [witness.key(), witness.key()];
    const prover = trustingProver();
    fake.expect(keys.flatMap(({ high, low }) => [high, low]));
    const cofhe = client(user, { prover });
    expect(await cofhe.encryptKeys(keys, soon())).toHaveLength(2);
    expect(await cofhe.encryptKeys(keys, soon())).toHaveLength(2);
    expect(prover.asked).toHaveLength(2);
    expect(prover.asked[0]!.values).toEqual(keys.flatMap(({ high, low }) => [high, low]));
    const chain = (421_614).toString(16).padStart(64, "0");
    expect(Buffer.from(prover.asked[0]!.metadata).toString("hex")).toBe(
      `00${user.address.slice(2).toLowerCase()}${chain}`,
    );
    expect(fake.requests.filter((route) => route === "/GetCrs")).toHaveLength(1);
  });

  test.each<[string, keyof FakeServices["faults"], () => Response]>([
    ["COFHE_KEYS_UNAVAILABLE", "/GetCrs", () => new Response("no", { status: 500 })],
    ["COFHE_KEYS_UNAVAILABLE", "/GetNetworkPublicKey", () => Response.json({ publicKey: "0x" })],
    ["COFHE_VERIFIER_FAILED", "/verify", () => new Response("boom", { status: 500 })],
    ["COFHE_VERIFIER_FAILED", "/verify", () => Response.json({ status: "error", error: "bad proof", data: null })],
    ["COFHE_VERIFIER_FAILED", "/verify", () => Response.json({ status: "success", data: [], error: "" })],
    ["COFHE_VERIFIER_FAILED", "/verify", () => verified({ signature: "0x1234" })],
    ["COFHE_VERIFIER_FAILED", "/verify", () => verified({ ct_hash: "not a number" })],
    ["COFHE_VERIFIER_FAILED", "/verify", () => verified({ ct_hash: "0" })],
  ])("%s when %s misbehaves (%#), and the next call may succeed", async (code, route, fault) => {
    const key = witness.key();
    fake.expect([key.high, key.low]);
    fake.faults[route] = fault;
    const cofhe = client(user);
    expect(await witness.failure(cofhe.encryptKeys([key], soon()))).toMatchObject({
      code,
      retryable: true,
      cause: undefined,
    });
    delete fake.faults[route];
    expect(await cofhe.encryptKeys([key], soon())).toHaveLength(1);
  });

  test("fetches the FHE keys anew when they were unusable", async () => {
    const key = witness.key();
    fake.expect([key.high, key.low]);
    const trusting = trustingProver();
    let failing = true;
    const prove: Prover["prove"] = async (request, signal) => {
      if (failing) throw cofheError("COFHE_KEYS_INVALID");
      return trusting.prove(request, signal);
    };
    const cofhe = client(user, { prover: { ...trusting, prove } });
    expect((await witness.failure(cofhe.encryptKeys([key], soon()))).code).toBe("COFHE_KEYS_INVALID");
    failing = false;
    expect(await cofhe.encryptKeys([key], soon())).toHaveLength(1);
    expect(fake.requests.filter((route) => route === "/GetCrs")).toHaveLength(2);
  });

  test.each([
    "worker-exits",
    "worker-throws",
    "worker-fails",
  ])("never proves on the main thread: %s", async (worker) => {
    const key = witness.key();
    fake.expect([key.high, key.low]);
    const dying = createProver({ url: new URL(`./${worker}.ts`, import.meta.url).href });
    const trusting = trustingProver();
    let first = true;
    const prove: Prover["prove"] = (request, signal) => {
      const chosen = first ? dying : trusting;
      first = false;
      return chosen.prove(request, signal);
    };
    const cofhe = client(user, { prover: { prove, close: dying.close } });
    const error = await witness.failure(cofhe.encryptKeys([key], soon()));
    expect(error).toMatchObject({ code: "COFHE_PROVER_FAILED", retryable: true, cause: undefined });
    // A proof made elsewhere would have reached the verifier before this one does.
    expect(await cofhe.encryptKeys([key], soon())).toHaveLength(1);
    expect(fake.requests.filter((route) => route === "/verify")).toHaveLength(1);
  });

  test("encryptions wait for one another, and one that was given up never starts", async () => {
    const keys = [witness.key(), witness.key(), witness.key()];
    const gate = Promise.withResolvers<void>();
    const entered = Promise.withResolvers<void>();
    const trusting = trustingProver();
    const prove: Prover["prove"] = async (request, signal) => {
      entered.resolve();
      await gate.promise;
      return trusting.prove(request, signal);
    };
    const cofhe = client(user, { prover: { ...trusting, prove } });
    fake.expect([1n, 2n]);
    const first = cofhe.encryptKeys([keys[0]!], soon());
    const stop = new AbortController();
    const second = cofhe.encryptKeys([keys[1]!], stop.signal);
    const third = cofhe.encryptKeys([keys[2]!], soon());
    await entered.promise;
    stop.abort(new Error("given up"));
    expect(await second.catch((error: Error) => error.message)).toBe("given up");
    gate.resolve();
    await Promise.all([first, third]);
    expect(trusting.asked.map(({ values }) => values[0])).toEqual([keys[0]!.high, keys[2]!.high]);
  });

  test("an aborted encryption ends its proof, and a hanging service ends with a timeout", async () => {
    const proving = Promise.withResolvers<AbortSignal>();
    const prove: Prover["prove"] = (_request, signal) => {
      proving.resolve(signal);
      return new Promise(() => {});
    };
    const stop = new AbortController();
    const call = client(user, { prover: { prove, close: async () => {} } }).encryptKeys([witness.key()], stop.signal);
    const inner = await proving.promise;
    stop.abort(new Error("shutdown"));
    expect(await call.catch((error: Error) => error.message)).toBe("shutdown");
    expect(inner.aborted).toBeTrue();

    fake.faults["/verify"] = () => new Promise(() => {});
    const impatient = client(user, { limits: { encryptMs: 100 } });
    const error = await witness.failure(impatient.encryptKeys([witness.key()], soon()));
    expect(error).toMatchObject({ code: "COFHE_TIMEOUT", retryable: true });
  });
});

/** A sealed value that this node's sealing key does not open. */
const sealedForAnother = {
  request_id: "x",
  status: "COMPLETED",
  is_succeed: true,
  sealed: { data: Array(32).fill(1), public_key: Array(32).fill(2), nonce: Array(24).fill(3) },
};

/** Two inputs as a verifier would give them, one field being different. */
function verified(change: { ct_hash?: string; signature?: string }): Response {
  const input = { ct_hash: "12345678", signature: `0x${"11".repeat(64)}`, recid: 0, ...change };
  return Response.json({ status: "success", data: [input, input], error: "" });
}
