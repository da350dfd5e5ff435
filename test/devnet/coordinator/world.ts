import { createHash, createHmac } from "node:crypto";
import { type Address, getAddress, type Hash, type Hex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { outputKeyJobId } from "../../../src/crypto/commitment.ts";
import { type Coordinator, createCoordinator } from "../../../src/devnet/coordinator/coordinator.ts";
import type { CoordinatorEvent } from "../../../src/devnet/coordinator/events.ts";
import type { Limits } from "../../../src/devnet/coordinator/limits.ts";
import type { Clock } from "../../../src/lib/clock.ts";
import { parseJson, stringifyJson } from "../../../src/lib/json.ts";
import { createLogger } from "../../../src/lib/log.ts";
import { backNode, createFakeChain, type FakeChain } from "./fake-chain.ts";

export const startSeconds = 1_750_000_000;
export const model = "tiny-noise";
export const commitment = "26a34ec75e765ab81595c667378ae344044ace41d726a5aa3bedd7cbc946d75b";
export const otherCommitment = "c985acfd9c156a1d5a0f2b18a4f020453d49f7d895f6803e560c31bcb2c47dbd";
export const serviceSecret = "a secret between services";

export type Answer = { status: number; json: Record<string, unknown> };
export type TestClock = Clock & { advance(seconds: number): void };
/** The key of PROTOCOL.md 2.10. */
export const vectorKey: Hex = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";

export type TestNode = {
  address: Address;
  get(path: string): Promise<Answer>;
  post(path: string, body: unknown): Promise<Answer>;
  /** Challenge and quote. */
  attest(models?: string[]): Promise<Answer>;
  heartbeat(): Promise<Answer>;
  claim(taskId: string): Promise<Answer>;
  result(taskId: string, fields?: Record<string, unknown>): Promise<Answer>;
  verdict(taskId: string, fields?: Record<string, unknown>): Promise<Answer>;
  signedHeaders(body: string, timestamp?: string): Promise<Record<string, string>>;
};

export type World = {
  coordinator: Coordinator;
  chain: FakeChain;
  clock: TestClock;
  nodes: TestNode[];
  user: Address;
  events: CoordinatorEvent[];
  blobs: Uint8Array[];
  logLines: string[];
  node(address: string): TestNode;
  addNode(key?: Hex): TestNode;
  icl(method: string, path: string, body?: unknown): Promise<Answer>;
  payment(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  /** Credits the user with BLIND, in wei. */
  deposit(value: bigint): Promise<void>;
  /** Stores a prompt key for these nodes and submits a paid job for them. */
  submit(options?: SubmitOptions): Promise<Answer & { taskId: string }>;
};

export type SubmitOptions = { taskId?: string; quorum?: Address[]; modelId?: string; fields?: Record<string, unknown> };

/** A coordinator with attested, registered and staked nodes around it. */
export async function createWorld(options: { nodes?: number; limits?: Partial<Limits> } = {}): Promise<World> {
  let seconds = startSeconds;
  const clock: TestClock = {
    now: () => seconds * 1000,
    sleep: async () => {},
    advance: (by) => {
      seconds += by;
    },
  };
  const chain = createFakeChain();
  const blobs: Uint8Array[] = [];
  const logLines: string[] = [];
  const coordinator = createCoordinator({
    chain,
    blobs: {
      put: async (bytes) => {
        blobs.push(bytes);
        return `bafkreitest${blobs.length}`;
      },
    },
    clock,
    log: createLogger({ level: "debug", format: "json", clock, write: (line) => logLines.push(line) }),
    random: seededBytes("world"),
    serviceSecret,
    ...(options.limits ? { limits: options.limits } : {}),
  });
  const events: CoordinatorEvent[] = [];
  coordinator.events.subscribe((event) => events.push(event));
  const user = getAddress("0x90F79bf6EB2c4f870365E785982E1f101E93b906");
  const nodes: TestNode[] = [];
  let keys = 0;
  let tasks = 0;

  const world: World = {
    coordinator,
    chain,
    clock,
    nodes,
    user,
    events,
    blobs,
    logLines,
    node: (address) => nodes.find((node) => node.address === address)!,
    addNode: (key) => {
      keys += 1;
      const node = createNode(coordinator, chain, clock, user, key ?? `0x${keys.toString(16).padStart(64, "7")}`);
      backNode(chain, node.address);
      nodes.push(node);
      return node;
    },
    icl: (method, path, body) => call(coordinator.icl, method, path, body),
    payment: (method, path, body, headers) => call(coordinator.payment, method, path, body, headers),
    deposit: async (value) => {
      const tx = chain.transfer(user, chain.treasury, value);
      const { status } = await world.payment("POST", "/v1/deposit", { tx_hash: tx });
      if (status !== 200) throw new Error(`deposit answered ${status}`);
    },
    submit: async ({ taskId, quorum, modelId = model, fields = {} } = {}) => {
      tasks += 1;
      const id = taskId ?? `0x${tasks.toString(16).padStart(64, "a")}`;
      const members = quorum ?? nodes.slice(0, 3).map(({ address }) => address);
      const key = id.startsWith("0x") ? id : `0x${id}`;
      const tx = chain.storeKey({ jobId: key as Hex, submitter: user, allowedNodes: members });
      const body = submission(user, id, modelId, members.length - 1, tx);
      return { ...(await world.payment("POST", "/v1/jobs/submit", { ...body, ...fields })), taskId: id };
    },
  };
  for (let index = 0; index < (options.nodes ?? 3); index++) await world.addNode().attest();
  return world;
}

export function submission(user: Address, taskId: string, modelId: string, verifierCount: number, tx: Hash) {
  return {
    user_address: user,
    prompt_cid: "bafkreiprompt",
    model_id: modelId,
    encrypted_prompt_key_high: "8831",
    encrypted_prompt_key_low: "1207",
    payment_mode: "credits",
    payment_currency: "blind",
    insurance_opt_in: false,
    escrow_id: null,
    task_id: taskId,
    min_tier: 0,
    zdr_required: false,
    verifier_count: verifierCount,
    permits: [],
    metadata: { prompt_key_store_tx: tx, prompt_key_store_status: "stored_by_user", is_agent_job: false },
  };
}

function createNode(coordinator: Coordinator, chain: FakeChain, clock: TestClock, user: Address, key: Hex): TestNode {
  const account = privateKeyToAccount(key);
  const { address } = account;
  const signedHeaders = async (body: string, timestamp = String(Math.floor(clock.now() / 1000))) => ({
    "X-Node-Address": address,
    "X-Timestamp": timestamp,
    "X-Signature": await account.signMessage({ message: body + timestamp }),
    "Content-Type": "application/json",
  });
  const node: TestNode = {
    address,
    signedHeaders,
    get: async (path) => read(await coordinator.icl.request(path, { headers: await signedHeaders("") })),
    post: async (path, body) => {
      const text = stringifyJson(body);
      return read(
        await coordinator.icl.request(path, { method: "POST", headers: await signedHeaders(text), body: text }),
      );
    },
    attest: async (models = [model]) => {
      const challenge = (await node.get(`/internal/challenge/${address}`)).json;
      return node.post("/internal/attestation/verify", attestation(address, challenge, models));
    },
    heartbeat: () => node.post("/internal/heartbeat", { nodeAddress: address, timestamp: String(clock.now() / 1000) }),
    claim: (taskId) => node.post("/internal/task/claim", { jobId: taskId, nodeAddress: address }),
    result: (taskId, fields = {}) => {
      const id = outputKeyJobId(taskId);
      const stored = [...chain.keys].find(([, [event]]) => event?.jobId === id);
      const tx = stored?.[0] ?? chain.storeKey({ jobId: id, submitter: address, allowedNodes: [user] });
      return node.post("/internal/task/result", {
        jobId: taskId,
        output_cid: "bafkreioutput",
        commitment_hash: commitment,
        encrypted_output_key_high: "555",
        encrypted_output_key_low: "666",
        encrypted_output_key_inputs: {},
        output_key_store_tx: tx,
        ...fields,
      });
    },
    verdict: (taskId, fields = {}) =>
      node.post("/internal/task/verify", {
        jobId: taskId,
        verifier_address: address,
        commitment_hash: commitment,
        verdict: "CONFIRM",
        confidence: 100,
        ...fields,
      }),
  };
  return node;
}

/** The body of an attestation with the quote of PROTOCOL.md 2.7, made here from its own words. */
export function attestation(address: Address, challenge: Record<string, unknown>, models: string[]) {
  const nonce = Buffer.from(String(challenge["nonce"]).slice(2), "hex");
  return {
    nodeAddress: address,
    backendType: "mock",
    quote: createHmac("sha256", "weloveblindference").update(nonce).digest("hex"),
    runtimeHash: createHash("sha256").update("blindference-node-v0.1.0-mock").digest("hex"),
    challengeId: challenge["challengeId"],
    ...(models.length > 0 ? { supportedModelIds: models } : {}),
  };
}

export async function read(response: Response): Promise<Answer> {
  return { status: response.status, json: parseJson(await response.text()) as Record<string, unknown> };
}

async function call(
  app: Coordinator["icl"],
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const init: RequestInit = { method, headers: { "Content-Type": "application/json", ...headers } };
  if (body !== undefined) init.body = typeof body === "string" ? body : stringifyJson(body);
  return read(await app.request(path, init));
}

/** Bytes that look random and are the same in every run. */
function seededBytes(seed: string): (length: number) => Uint8Array<ArrayBuffer> {
  let counter = 0;
  return (length) => {
    const bytes = new Uint8Array(length);
    for (let offset = 0; offset < length; offset += 32)
      bytes.set(
        createHash("sha256")
          .update(`${seed}:${counter++}`)
          .digest()
          .subarray(0, length - offset),
        offset,
      );
    return bytes;
  };
}
