import { beforeEach, describe, expect, test } from "bun:test";
import { parseEther } from "viem";
import { outputKeyJobId } from "../../../src/crypto/commitment.ts";
import { handles } from "./fake-chain.ts";
import { commitment, createWorld, model, otherCommitment, startSeconds, type TestNode, type World } from "./world.ts";

let world: World;
let leader: TestNode;
let first: TestNode;
let second: TestNode;
let taskId: string;

beforeEach(async () => {
  world = await createWorld();
  [leader, first, second] = world.nodes as [TestNode, TestNode, TestNode];
  await world.deposit(parseEther("1"));
  ({ taskId } = await world.submit());
});

const status = (node: TestNode) => node.get(`/internal/jobs/${taskId}/status`);
const request = () => world.icl("GET", `/v1/inference/task/${taskId}`);
const job = () => world.coordinator.jobs()[0]!;

describe("from assignment to rewards", () => {
  test("each member sees its own assignment, with handles as decimal text", async () => {
    const { json } = await leader.get(`/internal/assignments/${leader.address}`);
    expect(json).toEqual({
      assignments: [
        {
          jobId: taskId,
          role: "leader",
          modelId: model,
          promptCid: "bafkreiprompt",
          deadline: startSeconds + 300,
          insuranceOptIn: false,
          userAddress: world.user,
          kpHighHandle: handles.high.toString(),
          kpLowHandle: handles.low.toString(),
          permit: null,
        },
      ],
    });
    const { assignments } = (await first.get(`/internal/assignments/${first.address}`)).json;
    expect(assignments).toMatchObject([{ role: "verifier" }]);
  });

  test("a claim gives exact integers; claiming again changes nothing and the job is no longer offered", async () => {
    const body = JSON.stringify({ jobId: taskId, nodeAddress: leader.address });
    const init = { method: "POST", body, headers: await leader.signedHeaders(body) };
    const text = await (await world.coordinator.icl.request("/internal/task/claim", init)).text();
    expect(text).toBe(
      `{"kpHighHandle":${handles.high},"kpLowHandle":${handles.low},"outputKeyGranted":true,"claimDeadline":${startSeconds + 300}}`,
    );
    world.clock.advance(200);
    expect((await leader.claim(taskId)).json["claimDeadline"]).toBe(startSeconds + 300);
    expect((await leader.get(`/internal/assignments/${leader.address}`)).json).toEqual({ assignments: [] });
  });

  test("three equal commitments: accepted at the second, settled after the third, 60/20/20", async () => {
    for (const node of [leader, first, second]) await node.claim(taskId);
    const result = await leader.result(taskId);
    expect(result).toEqual({
      status: 200,
      json: {
        status: "leader_result_recorded",
        job_id: taskId,
        task_id: taskId,
        commitment_hash: commitment,
        output_key_store_tx: expect.stringMatching(/^0x[0-9a-f]{64}$/),
        output_key_store_job_id: outputKeyJobId(taskId).slice(2),
        finalized: false,
      },
    });
    expect((await first.verdict(taskId)).json).toEqual({
      status: "committed",
      job_id: taskId,
      task_id: taskId,
      verifier_address: first.address,
      finalized: true,
    });
    expect(job()).toMatchObject({ status: "ACCEPTED", settled: false, rewards: {} });
    expect(world.chain.writes).toEqual([]);
    expect((await second.verdict(taskId)).json["finalized"]).toBe(true);
    await world.coordinator.tick();
    expect(job()).toMatchObject({
      status: "ACCEPTED",
      settled: true,
      commitment,
      // A call costs 0.08 BLIND.
      rewards: {
        [leader.address]: parseEther("0.048"),
        [first.address]: parseEther("0.016"),
        [second.address]: parseEther("0.016"),
      },
    });
    expect(job().nodes.map(({ role, agreed }) => [role, agreed])).toEqual([
      ["leader", true],
      ["verifier", true],
      ["verifier", true],
    ]);
    expect(world.chain.writesOf("resetFailures").map(({ address }) => address)).toEqual([
      leader.address,
      first.address,
      second.address,
    ]);
    expect(world.chain.writesOf("recordFailure")).toEqual([]);
    expect(world.events.map(({ stage }) => stage)).toEqual([
      ...["submitted", "assigned", "assigned", "assigned", "claimed", "claimed", "claimed"],
      ...["leaderResult", "verdict", "accepted", "verdict", "settled"],
    ] as never);
    expect(world.events.every(({ at }) => at === startSeconds * 1000)).toBe(true);
  });

  test("the requester sees nothing before the decision, and the whole answer after it", async () => {
    const open = (await request()).json;
    expect(open).toMatchObject({
      status: "QUEUED",
      output_cid: null,
      commitment_hash: null,
      quorum: { verifier_addresses: [first.address, second.address], confirmations: 0, confidence: 0 },
    });
    await leader.result(taskId, { confidence: 90 });
    expect((await request()).json).toMatchObject({ status: "QUEUED", output_cid: null, commitment_hash: null });
    await first.verdict(taskId, { confidence: 71 });
    await second.verdict(taskId, { confidence: 80 });
    expect((await request()).json).toMatchObject({
      status: "ACCEPTED",
      output_cid: "bafkreioutput",
      commitment_hash: commitment,
      encrypted_output_key_high: handles.high.toString(),
      encrypted_output_key_low: handles.low.toString(),
      quorum: { confirmations: 3, confidence: 80 },
      reject_reason: null,
    });
  });
});

describe("nobody can copy the leader's commitment", () => {
  test("a verifier sees the CID at once and the commitment when its own is in", async () => {
    expect((await status(first)).json).toEqual({
      jobId: taskId,
      status: "QUEUED",
      outputCid: null,
      leaderCommitment: null,
      failureReason: null,
      nodeAssignments: {},
    });
    await leader.result(taskId);
    expect((await status(leader)).json["leaderCommitment"]).toBe(commitment);
    expect((await status(first)).json).toMatchObject({ outputCid: "bafkreioutput", leaderCommitment: null });
    await first.verdict(taskId);
    expect((await status(first)).json).toMatchObject({ status: "ACCEPTED", leaderCommitment: commitment });
    expect((await status(second)).json).toMatchObject({ status: "ACCEPTED", leaderCommitment: null });
  });

  test("public routes that a verifier can address do not show it while a verdict is missing; the requester's own do", async () => {
    await leader.result(taskId);
    await first.verdict(taskId);
    expect((await request()).json).toMatchObject({ status: "ACCEPTED", commitment_hash: null, verifier_verdicts: [] });
    expect((await world.payment("GET", `/v1/jobs/${taskId}`)).json).toMatchObject({
      status: "COMPLETED",
      result_hash: null,
    });
    expect(JSON.stringify((await world.payment("GET", `/v1/nodes/${second.address}/jobs`)).json)).not.toContain(
      "job_id",
    );
    const requestId = job().requestId;
    expect((await world.icl("GET", `/v1/inference/${requestId}`)).json["commitment_hash"]).toBe(commitment);
    await second.verdict(taskId, { commitment_hash: otherCommitment });
    expect((await request()).json["commitment_hash"]).toBe(commitment);
  });

  test("a job does not exist for nodes outside its quorum", async () => {
    const stranger = world.addNode();
    await stranger.attest();
    const missing = { status: 404, json: { detail: `Job ${taskId} not found` } };
    expect(await status(stranger)).toEqual(missing);
    expect(await stranger.get(`/internal/jobs/${taskId}/escrow`)).toEqual(missing);
    expect((await leader.get(`/internal/jobs/${taskId}/escrow`)).json).toEqual({ jobId: taskId, escrowId: 0 });
    expect(await stranger.claim(taskId)).toEqual({
      status: 403,
      json: { detail: "this node is not in the quorum of this task" },
    });
    expect((await leader.get(`/internal/jobs/${taskId.slice(2)}/status`)).status).toBe(404);
  });
});

describe("the first answer counts", () => {
  test("of the leader: an identical second one gets the same reply, a different one 409, also when all is over", async () => {
    const answer = await leader.result(taskId);
    world.clock.advance(1);
    expect(await leader.result(taskId)).toEqual(answer);
    world.clock.advance(1);
    const different = { status: 409, json: { detail: "a different result was already recorded for this task" } };
    expect(await leader.result(taskId, { commitment_hash: otherCommitment })).toEqual(different);
    for (const verifier of [first, second]) await verifier.verdict(taskId);
    world.clock.advance(1);
    expect(await leader.result(taskId, { output_cid: "bafkreielse" })).toEqual(different);
    expect(job().commitment).toBe(commitment);
  });

  test("of a verifier likewise", async () => {
    await leader.result(taskId);
    const answer = await first.verdict(taskId);
    world.clock.advance(1);
    expect(await first.verdict(taskId, { verdict: "confirm" })).toEqual(answer);
    for (const change of [{ verdict: "REJECT" }, { commitment_hash: otherCommitment }, { confidence: 1 }])
      expect(await first.verdict(taskId, change)).toEqual({
        status: 409,
        json: { detail: "a different verdict of this verifier was already recorded for this task" },
      });
  });

  test("of two different results at the same moment, one is recorded", async () => {
    await leader.result(taskId, { jobId: "nothing" });
    const answers = await Promise.all([
      leader.result(taskId),
      leader.result(taskId, { commitment_hash: otherCommitment }),
    ]);
    expect(answers.map((answer) => answer.status).sort()).toEqual([200, 409]);
  });
});

describe("who may answer, and with what", () => {
  test("only the leader gives the result, only a verifier a verdict", async () => {
    expect(await first.result(taskId)).toEqual({
      status: 400,
      json: { detail: "leader result submitted by non-leader address" },
    });
    expect(await leader.verdict(taskId)).toEqual({
      status: 400,
      json: { detail: "verifier verdict submitted by non-quorum verifier" },
    });
  });

  test("job_id and the request_id work too, and the id comes back as it was sent", async () => {
    const { requestId } = job();
    expect((await leader.result(taskId, { jobId: undefined, job_id: requestId })).json).toMatchObject({
      job_id: requestId,
      task_id: taskId,
    });
    expect((await first.verdict(taskId, { jobId: requestId, confidence: undefined })).json["job_id"]).toBe(requestId);
    expect((await leader.claim(requestId)).status).toBe(404);
  });

  test("what is missing or wrong is named in the original's words", async () => {
    const post = (path: string, body: unknown) => leader.post(`/internal/task/${path}`, body);
    expect((await post("claim", { jobId: taskId })).json["detail"]).toBe("jobId and nodeAddress are required");
    expect((await post("result", { output_cid: "bafy" })).json["detail"]).toBe("jobId is required");
    const missing = await post("result", { jobId: taskId, output_cid: "bafy" });
    expect(missing).toEqual({
      status: 400,
      json: { detail: "1 validation error for LeaderTextResultSubmission\ncommitment_hash\n  Field required" },
    });
    expect(await leader.result(taskId, { jobId: "nope" })).toEqual({
      status: 404,
      json: { detail: "'inference request nope not found'" },
    });
    expect((await leader.result(taskId, { verdict: "MAYBE" })).json["detail"]).toBe(
      "leader verdict must be CONFIRM or REJECT",
    );
    expect((await first.verdict(taskId, { verdict: "MAYBE" })).json["detail"]).toBe(
      "verifier verdict must be CONFIRM or REJECT",
    );
    expect((await first.verdict(taskId, { confidence: 101 })).status).toBe(400);
  });

  test("a result counts only with an output key that the leader stored for the developer", async () => {
    const id = outputKeyJobId(taskId);
    const attempt = async (tx: string | undefined) => {
      world.clock.advance(1);
      return (await leader.result(taskId, { output_key_store_tx: tx })).json["detail"];
    };
    expect(await attempt(undefined)).toBe(
      "output_key_store_tx is required: without it the requester cannot open the output",
    );
    const { chain, user } = world;
    const unknown = chain.newHash();
    expect(await attempt(unknown)).toBe(`output_key_store_tx ${unknown} does not store the output key of this task`);
    const foreign = chain.storeKey({ jobId: id, submitter: first.address, allowedNodes: [user] });
    expect(await attempt(foreign)).toBe("the output key was not stored by the leader's wallet");
    const useless = chain.storeKey({ jobId: id, submitter: leader.address, allowedNodes: [first.address] });
    expect(await attempt(useless)).toBe("the output key was not stored for the developer of this task");
    const empty = chain.storeKey({ jobId: id, submitter: leader.address, allowedNodes: [user], high: 0n });
    expect(await attempt(empty)).toBe("the stored output key is empty");
    expect(job().outputCid).toBeUndefined();
  });
});

describe("wrong answers", () => {
  test("a verifier that is wrong earns nothing and fails once; the job is accepted", async () => {
    await leader.result(taskId);
    await first.verdict(taskId, { commitment_hash: otherCommitment });
    expect(job().status).toBe("QUEUED");
    await second.verdict(taskId);
    await world.coordinator.tick();
    expect(job().status).toBe("ACCEPTED");
    expect(Object.keys(job().rewards).sort()).toEqual([leader.address, second.address].sort());
    expect(world.chain.writesOf("recordFailure").map(({ address }) => address)).toEqual([first.address]);
    expect(world.chain.writesOf("resetFailures").map(({ address }) => address)).toEqual([
      leader.address,
      second.address,
    ]);
  });

  test("a leader that both verifiers contradict is rejected: nobody is paid, the requester gets the price back", async () => {
    await leader.result(taskId);
    for (const verifier of [first, second]) await verifier.verdict(taskId, { commitment_hash: otherCommitment });
    await world.coordinator.tick();
    expect(job()).toMatchObject({ status: "REJECTED", rewards: {}, settled: true });
    expect(world.chain.writes).toEqual([{ kind: "recordFailure", address: leader.address }]);
    expect((await request()).json).toMatchObject({
      status: "REJECTED",
      reject_reason: "Quorum rejected: 1 confirms vs 2 required",
    });
    const balance = (await world.payment("GET", `/v1/balance/${world.user}`)).json;
    expect(balance).toMatchObject({ balance_blind: parseEther("1").toString(), total_spent_blind: "0" });
    const id = job().requestId;
    const paid = (await world.payment("GET", `/v1/jobs/${taskId}`)).json;
    expect(paid).toMatchObject({ status: "REFUNDED", output_cid: null, result_hash: null, rewards: {} });
    expect((await world.icl("GET", `/v1/inference/${id}`)).json["status"]).toBe("REJECTED");
  });

  test("a REJECT with the leader's own commitment is no confirmation", async () => {
    await leader.result(taskId);
    await first.verdict(taskId, { verdict: "REJECT", confidence: 10 });
    expect(job().status).toBe("QUEUED");
    await second.verdict(taskId, { verdict: "REJECT" });
    await world.coordinator.tick();
    expect(job()).toMatchObject({ status: "REJECTED", rewards: {} });
    expect(world.chain.writes).toEqual([]);
  });

  test("three different answers are rejected, and nobody is blamed", async () => {
    await leader.result(taskId);
    await first.verdict(taskId, { commitment_hash: "aa" });
    await second.verdict(taskId, { commitment_hash: "bb" });
    await world.coordinator.tick();
    expect(job().status).toBe("REJECTED");
    expect(world.chain.writes).toEqual([]);
  });

  test("verdicts before the result are kept and decide when it comes", async () => {
    await first.verdict(taskId);
    expect((await first.verdict(taskId)).status).toBe(401);
    await second.verdict(taskId);
    expect(job().status).toBe("QUEUED");
    expect((await leader.result(taskId)).json).toMatchObject({ status: "committed", finalized: true });
    expect(job().status).toBe("ACCEPTED");
  });
});
