import { beforeEach, describe, expect, test } from "bun:test";
import { type Address, type Hex, parseEther } from "viem";
import { handles } from "./fake-chain.ts";
import { createWorld, model, read, type World } from "./world.ts";

let world: World;
beforeEach(async () => {
  world = await createWorld();
});

const addresses = () => world.nodes.map(({ address }) => address);
const task = `0x${"11".repeat(32)}` as const;

describe("quorum preview", () => {
  const preview = (query: string) => world.icl("GET", `/v1/inference/quorum-preview?${query}`);

  test("names a leader, verifiers and candidates, all different", async () => {
    const { status, json } = await preview(`model_id=${model}&min_tier=0&verifier_count=2&zdr_required=false`);
    expect(status).toBe(200);
    const { leader, verifiers, candidates } = json as unknown as Record<string, string[]>;
    expect([leader, ...verifiers!].sort()).toEqual(addresses().sort());
    expect(candidates!.slice().sort()).toEqual(addresses().sort());
  });

  test("only nodes that are fresh, staked, registered and offer the model are eligible", async () => {
    const few = { status: 400, json: { detail: "not enough active nodes available for the requested quorum" } };
    expect(await preview(`model_id=${model}&verifier_count=3`)).toEqual(few);
    expect(await preview(`model_id=${model}&min_tier=1`)).toEqual(few);
    expect(await preview(`model_id=${model}&zdr_required=true`)).toEqual(few);
    expect(await preview("model_id=other")).toEqual({
      status: 400,
      json: { detail: "not enough active nodes support model 'other' for the requested quorum" },
    });
    const [node] = world.nodes;
    const full = { staked: parseEther("1000"), consecutiveFailures: 0, active: true };
    for (const changes of [{ staked: parseEther("1000") - 1n }, { active: false }, { consecutiveFailures: 3 }]) {
      world.chain.stakes.set(node!.address, { ...full, ...changes });
      expect(await preview(`model_id=${model}`)).toEqual(few);
    }
    world.chain.stakes.set(node!.address, full);
    expect((await preview(`model_id=${model}`)).status).toBe(200);
    world.chain.registered.delete(node!.address);
    expect(await preview(`model_id=${model}`)).toEqual(few);
    world.chain.registered.add(node!.address);
    world.clock.advance(301);
    for (const { heartbeat } of world.nodes.slice(1)) await heartbeat();
    expect(await preview(`model_id=${model}`)).toEqual(few);
    await node!.heartbeat();
    expect((await preview(`model_id=${model}`)).status).toBe(200);
    // A node that names no model offers none.
    await node!.attest([]);
    expect((await preview(`model_id=${model}`)).status).toBe(400);
  });

  test("a query that is missing or wrong is answered as FastAPI does", async () => {
    expect(await preview("")).toEqual({
      status: 422,
      json: { detail: [{ type: "missing", loc: ["query", "model_id"], msg: "Field required", input: null }] },
    });
    expect((await preview(`model_id=${model}&verifier_count=6`)).status).toBe(422);
    expect((await world.icl("POST", "/v1/inference/quorum-preview")).status).toBe(404);
  });

  test("better records come first, and among more nodes than needed the choice changes", async () => {
    for (let index = 0; index < 5; index++) await world.addNode().attest();
    const leaders = new Set<unknown>();
    for (let index = 0; index < 20; index++)
      leaders.add((await preview(`model_id=${model}&verifier_count=1`)).json["leader"]);
    expect(leaders.size).toBeGreaterThan(1);
    // Two times the quorum of two are drawn from; without a record that is decided by address.
    const best = addresses()
      .sort((a, b) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1))
      .slice(0, 4);
    expect([...leaders].every((leader) => best.includes(leader as Address))).toBe(true);
  });

  test("when the chain does not answer, the request is to be tried again", async () => {
    world.chain.reachable = false;
    const { status, json } = await preview(`model_id=${model}`);
    expect(status).toBe(503);
    expect(json["detail"]).toBe("a service that this coordinator needs does not answer; try again later");
    expect((await world.icl("GET", "/health")).json).toEqual({
      status: "degraded",
      chain_connected: false,
      mongo_connected: true,
    });
  });
});

describe("uploads", () => {
  const upload = async (field: string, bytes: Uint8Array<ArrayBuffer>) => {
    const body = new FormData();
    body.set(field, new Blob([bytes]), "blindference-text-prompt.bin");
    return read(await world.coordinator.icl.request("/v1/inference/upload-prompt", { method: "POST", body }));
  };

  test("the bytes of the field `file` reach the blob store unchanged", async () => {
    const bytes = Uint8Array.from({ length: 300 }, (_, index) => index % 256);
    expect(await upload("file", bytes)).toEqual({ status: 200, json: { cid: "bafkreitest1" } });
    expect(world.blobs).toEqual([bytes]);
  });

  test("an empty file, another field and something that is no form are refused", async () => {
    expect(await upload("file", new Uint8Array())).toEqual({
      status: 400,
      json: { detail: "Uploaded prompt payload is empty" },
    });
    expect((await upload("prompt", new Uint8Array(5))).status).toBe(422);
    expect((await world.icl("POST", "/v1/inference/upload-prompt", "{}")).status).toBe(422);
  });
});

describe("direct requests", () => {
  const body = (changes: Record<string, unknown> = {}) => ({
    developer_address: world.user,
    task_id: task,
    mode: "text",
    text_request: { prompt_cid: "bafkprompt", encrypted_prompt_key: { high: "111", low: "222" }, model_id: model },
    leader_address: addresses()[2],
    verifier_addresses: [addresses()[0], addresses()[1]],
    ...changes,
  });
  const send = (changes?: Record<string, unknown>) => world.icl("POST", "/v1/inference/requests", body(changes));

  test("without a stored key a job waits for it, and then goes to the nodes that the key was stored for", async () => {
    const { status, json } = await send();
    const requestId = String(json["job_id"]);
    expect(status).toBe(200);
    expect(requestId).toMatch(/^[0-9a-f]{32}$/);
    expect(json).toMatchObject({
      status: "QUEUED",
      output_cid: null,
      quorum: { verifier_addresses: [addresses()[0], addresses()[1]] },
    });
    const [node] = world.nodes;
    expect((await node!.get(`/internal/assignments/${node!.address}`)).json).toEqual({ assignments: [] });
    expect((await node!.claim(task)).json["detail"]).toBe("the prompt key of this task is not stored yet");

    const confirm = (tx: Hex) =>
      world.icl("POST", `/v1/inference/${requestId}/confirm-store-key`, { prompt_key_store_tx: tx });
    const stranger = world.chain.storeKey({ jobId: task, submitter: node!.address, allowedNodes: addresses() });
    expect((await confirm(stranger)).json["detail"]).toBe(
      "the prompt key was not stored by the wallet that submits the job",
    );
    const tx = world.chain.storeKey({ jobId: task, submitter: world.user, allowedNodes: addresses() });
    expect((await confirm(tx)).status).toBe(200);
    expect((await node!.claim(task)).json).toMatchObject({ kpHighHandle: handles.high, kpLowHandle: handles.low });
    expect(world.coordinator.jobs()[0]!.nodes.map(({ address }) => address)).toEqual(addresses());
    expect((await confirm(tx)).status).toBe(200);
    expect((await world.icl("POST", "/v1/inference/x/confirm-store-key", { prompt_key_store_tx: tx })).status).toBe(
      404,
    );
  });

  test("the same request again is the same job; the task of somebody else is taken", async () => {
    const [first, second] = await Promise.all([send(), send()]);
    expect(second.json["job_id"]).toBe(first.json["job_id"]);
    expect((await send()).json["job_id"]).toBe(first.json["job_id"]);
    expect(world.coordinator.jobs()).toHaveLength(1);
    const taken = { status: 409, json: { detail: `task_id ${task} is already in use` } };
    expect(await send({ developer_address: addresses()[0] })).toEqual(taken);
    // The same 32 bytes are the same key on chain, whatever they look like as text.
    expect((await send({ task_id: task.slice(2) })).status).toBe(409);
  });

  test("without a task_id one is made: 64 hex digits without 0x", async () => {
    const { status } = await send({ task_id: undefined });
    expect(status).toBe(200);
    expect(world.coordinator.jobs()[0]!.taskId).toMatch(/^[0-9a-f]{64}$/);
  });

  test("a quorum of the requester's own must make sense", async () => {
    const [a, b, c] = addresses();
    const attempt = async (changes: Record<string, unknown>) => (await send(changes)).json["detail"];
    expect(await attempt({ leader_address: undefined })).toBe(
      "leader_address is required when overriding quorum selection",
    );
    expect(await attempt({ verifier_addresses: [a] })).toBe("verifier_addresses must contain exactly 2 addresses");
    expect(await attempt({ leader_address: a, verifier_addresses: [a, b] })).toBe(
      "leader_address cannot also appear in verifier_addresses",
    );
    expect(await attempt({ leader_address: world.user, verifier_addresses: [a, c] })).toBe(
      `requested quorum contains inactive or unavailable nodes: ${world.user}`,
    );
    const tx = world.chain.storeKey({ jobId: task, submitter: world.user, allowedNodes: [a!, b!, c!] });
    expect(await attempt({ metadata: { prompt_key_store_tx: tx } })).toBe(
      "the requested quorum is not the one that the prompt key was stored for",
    );
    expect(world.coordinator.jobs()).toEqual([]);
  });

  test("what is missing is named; risk mode is refused in words", async () => {
    expect(await send({ developer_address: undefined })).toEqual({
      status: 422,
      json: { detail: [{ type: "missing", loc: ["body", "developer_address"], msg: "Field required", input: null }] },
    });
    expect((await send({ mode: "risk" })).json["detail"]).toBe("mode 'risk' is not supported, only 'text'");
    expect((await send({ text_request: undefined })).status).toBe(400);
    expect((await world.icl("GET", "/v1/inference/nope")).json["detail"]).toBe("'inference request nope not found'");
    expect((await world.icl("GET", "/v1/inference/task/nope")).status).toBe(404);
  });

  test("an unpaid job pays nobody", async () => {
    const tx = world.chain.storeKey({ jobId: task, submitter: world.user, allowedNodes: addresses() });
    const wanted = { leader_address: undefined, verifier_addresses: [] };
    await send({ ...wanted, metadata: { prompt_key_store_tx: tx } });
    const [leader, ...verifiers] = world.nodes;
    await leader!.result(task);
    for (const verifier of verifiers) await verifier.verdict(task);
    await world.coordinator.tick();
    expect(world.coordinator.jobs()[0]).toMatchObject({ status: "ACCEPTED", settled: true, rewards: {} });
    expect(world.chain.writesOf("payReward")).toEqual([]);
  });
});

describe("the prompt key binds the quorum", () => {
  beforeEach(() => world.deposit(parseEther("1")));

  test("its nodes are the quorum, in the order in which they were listed", async () => {
    const [a, b, c] = addresses();
    await world.submit({ quorum: [c!, a!, b!] });
    expect(world.coordinator.jobs()[0]!.nodes.map(({ address, role }) => [address, role])).toEqual([
      [c!, "leader"],
      [a!, "verifier"],
      [b!, "verifier"],
    ]);
  });

  test("nodes that may not take part are named, and the price is given back", async () => {
    const [a, b, c] = addresses();
    await world.nodes[1]!.attest(["other"]);
    expect(await world.submit({ quorum: [a!, b!, c!] })).toMatchObject({
      status: 400,
      json: { detail: `requested quorum contains inactive or unavailable nodes: ${b}` },
    });
    expect((await world.submit({ quorum: [world.user] })).status).toBe(422);
    expect((await world.submit({ quorum: [a!, a!, c!] })).json["detail"]).toBe(
      "the prompt key must be stored for 3 different nodes, not for 3",
    );
    expect((await world.submit({ quorum: [a!, c!], fields: { verifier_count: 2 } })).json["detail"]).toBe(
      "the prompt key must be stored for 3 different nodes, not for 2",
    );
    expect((await world.payment("GET", `/v1/balance/${world.user}`)).json["balance_blind"]).toBe(
      parseEther("1").toString(),
    );
  });

  test("a transaction that stored another task's key, nothing or an empty key does not count", async () => {
    const metadata = (tx: Hex) => ({ fields: { metadata: { prompt_key_store_tx: tx } }, taskId: task });
    const other = world.chain.storeKey({
      jobId: `0x${"22".repeat(32)}`,
      submitter: world.user,
      allowedNodes: addresses(),
    });
    for (const tx of [other, world.chain.newHash()])
      expect((await world.submit(metadata(tx))).json["detail"]).toBe(
        `prompt_key_store_tx ${tx} does not store the key of this task`,
      );
    const empty = world.chain.storeKey({ jobId: task, submitter: world.user, allowedNodes: addresses(), low: 0n });
    expect((await world.submit(metadata(empty))).json["detail"]).toBe("the stored prompt key is empty");
    expect((await world.submit({ fields: { metadata: { prompt_key_store_tx: "soon" } } })).status).toBe(422);
  });
});

describe("feedback", () => {
  test("once, for an accepted job, by its developer", async () => {
    await world.deposit(parseEther("1"));
    const { taskId } = await world.submit();
    const { requestId } = world.coordinator.jobs()[0]!;
    const send = (changes: Record<string, unknown> = {}, id = requestId) =>
      world.icl("POST", `/v1/inference/${id}/feedback`, { developer_address: world.user, rating: "up", ...changes });
    expect((await send({}, "nope")).json).toEqual({ detail: "Request not found" });
    expect((await send()).json).toEqual({ detail: "Feedback can only be submitted for accepted jobs" });
    await world.nodes[0]!.result(taskId);
    await world.nodes[1]!.verdict(taskId);
    expect((await send({ rating: "meh" })).status).toBe(422);
    expect((await send({ developer_address: addresses()[0] })).status).toBe(403);
    expect((await send()).json).toEqual({ status: "ok", request_id: requestId, rating: "up" });
    expect((await send()).json).toEqual({ detail: "Feedback already submitted for this job" });
  });
});

test("nodes and models", async () => {
  expect((await world.icl("GET", "/v1/nodes/nobody")).status).toBe(400);
  expect((await world.icl("GET", `/v1/nodes/${world.user}`)).status).toBe(404);
  const [node] = world.nodes;
  expect((await world.icl("GET", `/v1/nodes/${node!.address.toLowerCase()}`)).json).toMatchObject({
    operator_address: node!.address,
    active: true,
  });
  await node!.attest(["groq:llama-3.3-70b-versatile"]);
  expect((await world.icl("GET", "/v1/models")).json as unknown).toMatchObject([
    { model_id: "groq:llama-3.3-70b-versatile", provider: "groq", name: "llama-3.3-70b-versatile", min_tier: 0 },
    { model_id: model, provider: "local" },
  ]);
  expect((await world.icl("GET", "/")).json).toEqual({ message: "Blindference ICL is running" });
});
