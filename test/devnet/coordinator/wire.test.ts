import { afterEach, beforeEach, expect, test } from "bun:test";
import { type Hex, parseEther } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { outputKeyJobId } from "../../../src/crypto/commitment.ts";
import { createIclClient, type IclClient } from "../../../src/icl/client.ts";
import { createRequesterClient, type RequesterClient } from "../../../src/icl/requester.ts";
import { createLogger } from "../../../src/lib/log.ts";
import { backNode, handles } from "./fake-chain.ts";
import { attestation, commitment, createWorld, model, type World } from "./world.ts";

let world: World;
let clients: { client: IclClient; address: Hex }[];
let requester: RequesterClient;
let iclUrl: string;
const servers: ReturnType<typeof Bun.serve>[] = [];

beforeEach(async () => {
  world = await createWorld({ nodes: 0 });
  const listen = (fetch: (request: Request) => Response | Promise<Response>) => {
    const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch });
    servers.push(server);
    return server.url.origin;
  };
  iclUrl = listen(world.coordinator.icl.fetch);
  const paymentUrl = listen(world.coordinator.payment.fetch);
  const { clock } = world;
  requester = createRequesterClient({ iclUrl, paymentUrl, fetch, clock });
  const log = createLogger({ level: "error", format: "json", clock, write: () => {} });
  clients = [1, 2, 3].map((index) => {
    const signer = privateKeyToAccount(`0x${index.toString(16).padStart(64, "8")}`);
    backNode(world.chain, signer.address);
    return { address: signer.address, client: createIclClient({ baseUrl: iclUrl, signer, fetch, clock, log }) };
  });
});

afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop(true);
});

test("the node's and the requester's own clients carry a job from upload to rewards over real sockets", async () => {
  for (const { client, address } of clients) {
    expect(await client.assignments().catch((error: { code: string }) => error.code)).toBe("ICL_UNKNOWN");
    const { quote, runtimeHash, challengeId } = attestation(address, await client.challenge(), [model]);
    const request = { backendType: "mock", quote, runtimeHash, challengeId: String(challengeId) };
    expect((await client.verifyAttestation({ ...request, supportedModelIds: [model] })).tier).toBe(0);
    await client.heartbeat();
    expect(await client.listsThisNode()).toBe(true);
  }
  await requester.deposit(world.chain.transfer(world.user, world.chain.treasury, parseEther("1")));
  const quorum = await requester.quorumPreview(model, 2);
  const allowed = [quorum.leader, ...quorum.verifiers];
  const taskId: Hex = `0x${"3c".repeat(32)}`;
  const stored = world.chain.storeKey({ jobId: taskId, submitter: world.user, allowedNodes: allowed });
  const promptCid = await requester.uploadPrompt(Uint8Array.from([1, 2, 3]));
  const half = { ctHash: handles.high, securityZone: 0, utype: 6, signature: "0x" as const };
  const { job_id } = await requester.submit({
    userAddress: world.user,
    taskId,
    promptCid,
    modelId: model,
    encryptedKey: { high: half, low: { ...half, ctHash: handles.low } },
    promptKeyStoreTx: stored,
    promptKeyStoreAddress: world.chain.treasury,
    promptLength: 3,
    verifierCount: 2,
    currency: "blind",
  });

  const [leader, ...verifiers] = allowed.map((address) => clients.find((item) => item.address === address)!.client);
  expect(await leader!.assignments()).toEqual([
    { jobId: taskId, role: "leader", modelId: model, promptCid, userAddress: world.user },
  ]);
  for (const client of [leader!, ...verifiers])
    expect(await client.claim(taskId)).toMatchObject({ kpHighHandle: handles.high, kpLowHandle: handles.low });
  const outputKeyStoreTx = world.chain.storeKey({
    jobId: outputKeyJobId(taskId),
    submitter: quorum.leader,
    allowedNodes: [world.user],
  });
  const result = { jobId: taskId, outputCid: "bafkreioutput", commitment, outputKeyStoreTx };
  const encryptedKey = { high: half, low: half };
  expect((await leader!.submitResult({ ...result, encryptedKey })).finalized).toBe(false);
  for (const client of verifiers) {
    expect(await client.jobStatus(taskId)).toMatchObject({ outputCid: "bafkreioutput", leaderCommitment: undefined });
    await client.submitVerdict({ jobId: taskId, commitment, verdict: "CONFIRM", confidence: 100 });
    expect((await client.jobStatus(taskId)).leaderCommitment).toBe(commitment);
  }
  await world.coordinator.tick();
  expect(await requester.job(job_id)).toMatchObject({
    status: "COMPLETED",
    leader_address: quorum.leader,
    result_hash: commitment,
    encrypted_output_key_high: handles.high,
    encrypted_output_key_low: handles.low,
  });
  expect(await requester.inference(taskId)).toMatchObject({
    status: "ACCEPTED",
    commitment_hash: commitment,
    quorum: { verifier_addresses: quorum.verifiers, confirmations: 3, confidence: 100 },
  });
  expect(world.coordinator.jobs()[0]!.rewards[quorum.leader]).toBe(parseEther("0.048"));
});

test("a body without a length is cut off as soon as it is too large", async () => {
  let sent = 0;
  const body = new ReadableStream({
    pull: (controller) => {
      sent += 65_536;
      controller.enqueue(new Uint8Array(65_536));
      if (sent >= 64 * 1024 * 1024) controller.close();
    },
  });
  const response = await fetch(`${iclUrl}/v1/inference/requests`, { method: "POST", body });
  expect(response.status).toBe(413);
  expect(sent).toBeLessThan(64 * 1024 * 1024);
});
