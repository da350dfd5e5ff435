import { describe, expect, test } from "bun:test";
import { type Hex, hexToBigInt, numberToHex } from "viem";
import { createWorld, model, read, startSeconds, vectorKey, type World } from "./world.ts";

const address = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
const task = `0x${"11".repeat(32)}`;
const signatures = {
  get: "0xbcd85a436178eca8638f6660bdf85f8a2475b3f2d4a5532a3eb64949195c14d0334e70bbf02c0e7d8df3845fe9a51a68d8762d19900a543b112bb491511fff211c",
  claim:
    "0x3ce0bc7d8beebcf73ad6c8409ffef009251cf830ca6f298be514d03adc9d1c7f3ae06275ac32980a0c4f5c390e3263046d5e811aca8410c73bbd4b704dae38361b",
  heartbeat:
    "0x52dffc4ea3c5100e50ee65be1d130ffeef2c2b34d7aefc3265778f71cc8a683a2f700acfa953f97a27e8282e8789a65405d24312c4e7cddda616ff5a962781f51b",
};
const claimBody = `{"jobId": "${task}", "nodeAddress": "${address}"}`;
const heartbeatBody = `{"nodeAddress": "${address}", "timestamp": "1750000000"}`;

function headers(signature: string, changes: Record<string, string> = {}) {
  return {
    "X-Node-Address": address,
    "X-Timestamp": "1750000000",
    "X-Signature": signature,
    "Content-Type": "application/json",
    ...changes,
  };
}

async function send(
  world: World,
  path: string,
  signature: string,
  body?: string,
  changes: Record<string, string> = {},
) {
  const init: RequestInit = { headers: headers(signature, changes) };
  if (body !== undefined) Object.assign(init, { method: "POST", body });
  return read(await world.coordinator.icl.request(path, init));
}

const heartbeat = (world: World, changes: Record<string, string> = {}, body = heartbeatBody) =>
  send(world, "/internal/heartbeat", signatures.heartbeat, body, changes);

describe("test vectors of PROTOCOL.md 2.10", () => {
  test("the GET signature opens the challenge of its own address", async () => {
    const { status, json } = await send(await createWorld(), `/internal/challenge/${address}`, signatures.get);
    expect(status).toBe(200);
    expect(json["nonce"]).toMatch(/^0x[0-9a-f]{64}$/);
    expect(json["expiresAt"]).toBe(startSeconds + 300);
  });

  test("the claim signature over a body with Python's spaces claims the job", async () => {
    const world = await createWorld({ nodes: 2 });
    const node = world.addNode(vectorKey);
    expect(node.address).toBe(address);
    await node.attest();
    await world.deposit(10n ** 18n);
    const quorum = [address, world.nodes[0]!.address, world.nodes[1]!.address] as const;
    await world.submit({ taskId: task, quorum: [...quorum] });
    const { status, json } = await send(world, "/internal/task/claim", signatures.claim, claimBody);
    expect(status).toBe(200);
    expect(json["claimDeadline"]).toBe(startSeconds + 300);
  });

  test("the heartbeat signature is accepted", async () => {
    expect(await heartbeat(await createWorld())).toEqual({ status: 200, json: { status: "ok" } });
  });
});

describe("the signature headers", () => {
  test("a POST is accepted once", async () => {
    const world = await createWorld();
    expect((await heartbeat(world)).status).toBe(200);
    const replay = await heartbeat(world);
    expect(replay).toEqual({ status: 401, json: { detail: "this signed request was already received" } });
  });

  test("a replay with the other valid signature of the same message is found out", async () => {
    const world = await createWorld();
    expect((await heartbeat(world)).status).toBe(200);
    const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
    const hex = signatures.heartbeat as Hex;
    const s = numberToHex(order - hexToBigInt(`0x${hex.slice(66, 130)}`), { size: 32 });
    const flipped = `${hex.slice(0, 66)}${s.slice(2)}${hex.endsWith("1b") ? "1c" : "1b"}`;
    const replay = await send(world, "/internal/heartbeat", flipped, heartbeatBody);
    expect(replay.json["detail"]).toBe("this signed request was already received");
  });

  test("a GET of the same second is accepted again, and so is the second claim that node 0.3.5 always sends", async () => {
    const world = await createWorld();
    const [leader] = world.nodes;
    await world.deposit(10n ** 18n);
    const { taskId } = await world.submit();
    const path = `/internal/assignments/${leader!.address}`;
    expect((await leader!.get(path)).status).toBe(200);
    expect((await leader!.get(path)).status).toBe(200);
    expect((await leader!.claim(taskId)).status).toBe(200);
    expect((await leader!.claim(taskId)).status).toBe(200);
  });

  test("a request that was signed for one route does not open another one", async () => {
    const world = await createWorld({ nodes: 2 });
    const node = world.addNode(vectorKey);
    await node.attest();
    await world.deposit(10n ** 18n);
    await world.submit({ taskId: task, quorum: world.nodes.map((member) => member.address) });
    expect((await send(world, "/internal/task/claim", signatures.claim, claimBody)).status).toBe(200);
    // The claim names the node, so that it would also do as a heartbeat.
    expect((await send(world, "/internal/heartbeat", signatures.claim, claimBody)).status).toBe(401);
    expect((await send(world, "/internal/task/claim", signatures.claim, claimBody)).status).toBe(200);
  });

  test("repeated 0x, a missing 0x and any case of the address are accepted", async () => {
    for (const changes of [
      { "X-Signature": `0x${signatures.heartbeat}` },
      { "X-Signature": `0x0x${signatures.heartbeat}` },
      { "X-Signature": signatures.heartbeat.slice(2).toUpperCase() },
      { "X-Node-Address": address.toLowerCase() },
    ])
      expect((await heartbeat(await createWorld(), changes)).status).toBe(200);
  });

  test("the window is 120 seconds on both sides of the coordinator's clock", async () => {
    for (const [seconds, status] of [
      [120, 200],
      [121, 401],
      [-120, 200],
      [-121, 401],
    ] as const) {
      const world = await createWorld({ nodes: 0 });
      world.clock.advance(seconds);
      expect((await heartbeat(world)).status).toBe(status);
    }
  });

  test("a body that was changed, a foreign signature and headers that are missing or senseless are refused", async () => {
    const world = await createWorld();
    const changed = heartbeatBody.replace("1750000000", "1750000001");
    expect(await heartbeat(world, {}, changed)).toEqual({
      status: 401,
      json: { detail: "X-Signature is not by X-Node-Address" },
    });
    expect((await heartbeat(world, {}, heartbeatBody.replaceAll(": ", ":"))).status).toBe(401);
    expect((await heartbeat(world, { "X-Node-Address": world.nodes[0]!.address })).status).toBe(401);
    expect((await heartbeat(world, { "X-Signature": signatures.claim })).status).toBe(401);
    const details = [];
    for (const changes of [
      { "X-Signature": "" },
      { "X-Signature": "0x1234" },
      { "X-Signature": `0x${"00".repeat(65)}` },
      { "X-Timestamp": "soon" },
      { "X-Timestamp": "1750000000.5" },
      { "X-Node-Address": "me" },
    ]) {
      const { status, json } = await heartbeat(world, changes);
      expect(status).toBe(401);
      details.push(json["detail"]);
    }
    expect(details).toEqual([
      "X-Signature header is missing",
      "X-Signature is not 65 bytes of hex",
      "X-Signature is not a valid signature",
      "X-Timestamp is not a Unix time in seconds",
      "X-Timestamp is not a Unix time in seconds",
      "X-Node-Address is not an address",
    ]);
  });

  test("a node cannot speak for another one, in a path or in a body", async () => {
    const { nodes } = await createWorld();
    const [node, other] = nodes;
    const attempts = [
      node!.get(`/internal/challenge/${other!.address}`),
      node!.get(`/internal/assignments/${other!.address}`),
      node!.post("/internal/heartbeat", { nodeAddress: other!.address, timestamp: "1" }),
      node!.post("/internal/task/claim", { jobId: task, nodeAddress: other!.address }),
      node!.post("/internal/attestation/verify", { nodeAddress: other!.address, quote: "00", challengeId: "x" }),
      node!.verdict(task, { verifier_address: other!.address }),
    ];
    for (const { status, json } of await Promise.all(attempts)) {
      expect(status).toBe(401);
      expect(json["detail"]).toMatch(/is not the address that signed the request$/);
    }
  });

  test("the body is measured before it is verified, and verified before it is parsed", async () => {
    const world = await createWorld({ limits: { bodyBytes: 1000 } });
    const large = await heartbeat(world, {}, "x".repeat(1001));
    expect(large).toEqual({ status: 413, json: { detail: "request body is larger than 1000 bytes" } });
    expect((await heartbeat(world, {}, "{not json")).status).toBe(401);
    const [node] = world.nodes;
    const body = "{not json";
    const init = { method: "POST", body, headers: await node!.signedHeaders(body) };
    const answer = await read(await world.coordinator.icl.request("/internal/heartbeat", init));
    expect(answer).toEqual({ status: 400, json: { detail: "Invalid JSON body" } });
  });

  test("every /internal route asks for a signature, the public ones do not", async () => {
    const world = await createWorld();
    for (const path of ["/internal/challenge/x", "/internal/jobs/x/status", "/internal/operators", "/internal/x"])
      expect((await world.icl("GET", path)).status).toBe(401);
    expect((await world.icl("GET", "/v1/models")).status).toBe(200);
    expect((await world.icl("GET", "/nowhere")).status).toBe(404);
  });

  test("when too many requests are remembered, new ones wait instead of old ones being forgotten", async () => {
    const world = await createWorld({ nodes: 0, limits: { rememberedSignatures: 2 } });
    const node = world.addNode();
    await node.attest([model]);
    expect((await node.heartbeat()).status).toBe(200);
    world.clock.advance(1);
    expect((await node.heartbeat()).status).toBe(503);
    world.clock.advance(121);
    expect((await node.heartbeat()).status).toBe(200);
  });
});
