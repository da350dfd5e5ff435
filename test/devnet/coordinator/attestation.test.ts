import { expect, test } from "bun:test";
import { attestation, createWorld, model, startSeconds } from "./world.ts";

test("an attestation gives a certificate of 16 bytes for a day, and lists the node", async () => {
  const world = await createWorld({ nodes: 0 });
  const node = world.addNode();
  expect((await node.get(`/internal/assignments/${node.address}`)).status).toBe(404);
  const { status, json } = await node.attest();
  expect(status).toBe(200);
  expect(json).toEqual({
    certHash: expect.stringMatching(/^0x[0-9a-f]{32}$/),
    expiry: startSeconds + 86_400,
    tier: 0,
  });
  const active = (await world.icl("GET", "/v1/nodes/active")).json as unknown as Record<string, unknown>[];
  expect(active).toEqual([
    expect.objectContaining({ operator_address: node.address, model_tiers: [0], active: true, jurisdiction: "global" }),
  ]);
  expect((await node.get(`/internal/assignments/${node.address}`)).json).toEqual({ assignments: [] });
});

test("a challenge is used once, by its own node, and only while it is fresh", async () => {
  const world = await createWorld({ nodes: 0 });
  const [node, other] = [world.addNode(), world.addNode()];
  const verify = (from: typeof node, challenge: Record<string, unknown>, changes = {}) =>
    from.post("/internal/attestation/verify", { ...attestation(from.address, challenge, [model]), ...changes });
  const challenge = (await node.get(`/internal/challenge/${node.address}`)).json;
  expect(challenge["challengeId"]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  const unknown = "unknown challenge: it was never given to this node, or was already used";
  expect(await verify(other, challenge)).toEqual({ status: 400, json: { detail: unknown } });
  expect((await verify(node, challenge)).status).toBe(200);
  world.clock.advance(1);
  expect(await verify(node, challenge)).toEqual({ status: 400, json: { detail: unknown } });

  const late = (await node.get(`/internal/challenge/${node.address}`)).json;
  world.clock.advance(300);
  expect(await verify(node, late)).toEqual({ status: 400, json: { detail: "the challenge has expired" } });

  const wrong = (await node.get(`/internal/challenge/${node.address}`)).json;
  for (const quote of ["00".repeat(32), "zz", "", "00"]) {
    const fresh = (await node.get(`/internal/challenge/${node.address}`)).json;
    const answer = await verify(node, fresh, { quote });
    expect(answer).toEqual({ status: 400, json: { detail: "the quote does not answer the challenge" } });
  }
  // A newer challenge replaces an older one, and a wrong quote has used that one up.
  expect((await verify(node, wrong)).status).toBe(400);
});

test("a claimed tier counts for nothing, and other backends are refused in words", async () => {
  const world = await createWorld({ nodes: 0 });
  const node = world.addNode();
  const attest = async (changes: Record<string, unknown>) => {
    const challenge = (await node.get(`/internal/challenge/${node.address}`)).json;
    return node.post("/internal/attestation/verify", { ...attestation(node.address, challenge, [model]), ...changes });
  };
  expect((await attest({ tier: 2, unknownField: [1] })).json["tier"]).toBe(0);
  expect(await attest({ backendType: "sev" })).toEqual({
    status: 400,
    json: { detail: "attestation backend 'sev' cannot be verified here; use mock" },
  });
  expect((await attest({ nodeAddress: undefined })).json).toEqual({ detail: "nodeAddress is required" });
});

test("attesting again keeps a node's counters; models may be named in snake case", async () => {
  const world = await createWorld();
  await world.deposit(10n ** 18n);
  const { taskId } = await world.submit();
  const [leader, ...verifiers] = world.nodes;
  await leader!.claim(taskId);
  await leader!.result(taskId);
  for (const verifier of verifiers) await verifier.verdict(taskId);
  const metrics = async () => (await world.icl("GET", `/v1/nodes/${leader!.address}`)).json["metrics"];
  expect(await metrics()).toMatchObject({ tasks_completed: 1, tasks_accepted: 1, tasks_rejected: 0 });
  world.clock.advance(10);
  const challenge = (await leader!.get(`/internal/challenge/${leader!.address}`)).json;
  const body = attestation(leader!.address, challenge, []);
  await leader!.post("/internal/attestation/verify", { ...body, supported_model_ids: ["other"] });
  expect(await metrics()).toMatchObject({ tasks_completed: 1, tasks_accepted: 1, tasks_rejected: 0 });
  const models = (await world.icl("GET", "/v1/models")).json as unknown as { model_id: string }[];
  expect(models.map(({ model_id }) => model_id)).toEqual(["other", model]);
});

test("without heartbeats a node is no longer active; after a day it has to attest again", async () => {
  const world = await createWorld({ nodes: 1 });
  const [node] = world.nodes;
  const active = async () => ((await world.icl("GET", "/v1/nodes/active")).json as unknown as unknown[]).length;
  world.clock.advance(301);
  expect(await active()).toBe(0);
  expect((await node!.get(`/internal/assignments/${node!.address}`)).status).toBe(200);
  expect((await node!.heartbeat()).json).toEqual({ status: "ok" });
  expect(await active()).toBe(1);
  world.clock.advance(86_400);
  expect(await node!.get(`/internal/assignments/${node!.address}`)).toEqual({
    status: 404,
    json: { detail: `node ${node!.address} is not attested` },
  });
});
