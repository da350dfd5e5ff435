import { beforeEach, expect, test } from "bun:test";
import { parseEther } from "viem";
import { outputKeyJobId } from "../../../src/crypto/commitment.ts";
import { createWorld, otherCommitment, type TestNode, type World } from "./world.ts";

let world: World;
let leader: TestNode;
let first: TestNode;
let second: TestNode;
let taskId: string;

async function start(nodes: number): Promise<void> {
  world = await createWorld({ nodes });
  [leader, first, second] = world.nodes as [TestNode, TestNode, TestNode];
  await world.deposit(parseEther("1"));
  ({ taskId } = await world.submit());
}

beforeEach(() => start(4));

const job = () => world.coordinator.jobs()[0]!;
const spare = () => world.nodes[3]!;
const failures = () => world.chain.writesOf("recordFailure").map(({ address }) => address);
/** Time passes, while every node keeps its heartbeat. */
const pass = async (seconds: number) => {
  world.clock.advance(seconds);
  for (const node of world.nodes) await node.heartbeat();
  await world.coordinator.tick();
};
const refunded = async () =>
  (await world.payment("GET", `/v1/balance/${world.user}`)).json["balance_blind"] === parseEther("1").toString();

test("before its time nothing changes", async () => {
  await leader.claim(taskId);
  await pass(300);
  expect(job().nodes.map(({ address }) => address)).toEqual([leader.address, first.address, second.address]);
  expect((await leader.result(taskId)).status).toBe(200);
});

test("a leader that claimed and says nothing is replaced and fails once; all start again for the new one", async () => {
  for (const node of [leader, first, second]) await node.claim(taskId);
  await pass(301);
  expect(job().nodes.map(({ address }) => address)).toEqual([spare().address, first.address, second.address]);
  expect(job().replaced).toEqual([leader.address]);
  expect(failures()).toEqual([leader.address]);
  expect(world.chain.writesOf("grantDecryptAccess")).toMatchObject([{ address: spare().address, jobId: taskId }]);
  const late = await leader.result(taskId, { output_key_store_tx: world.chain.newHash() });
  expect(late.json["detail"]).toBe("leader result submitted by non-leader address");
  expect((await leader.claim(taskId)).status).toBe(403);
  // It may still see what became of the job.
  expect((await leader.get(`/internal/jobs/${taskId}/status`)).status).toBe(200);

  for (const node of [first, second]) {
    const { assignments } = (await node.get(`/internal/assignments/${node.address}`)).json;
    expect(assignments).toMatchObject([{ jobId: taskId, role: "verifier" }]);
  }
  await spare().claim(taskId);
  const { address } = spare();
  const tx = world.chain.storeKey({ jobId: outputKeyJobId(taskId), submitter: address, allowedNodes: [world.user] });
  await spare().result(taskId, { output_key_store_tx: tx });
  for (const node of [first, second]) await node.verdict(taskId);
  await world.coordinator.tick();
  expect(job()).toMatchObject({ status: "ACCEPTED", settled: true });
  expect(Object.keys(job().rewards)).toEqual([spare().address, first.address, second.address]);
  expect(failures()).toEqual([leader.address]);
});

test("a node that never claims is replaced without a failure, leader or verifier", async () => {
  await pass(301);
  expect(job().nodes[0]!.address).toBe(spare().address);
  expect(job().replaced).toEqual([leader.address]);
  await start(4);
  await leader.result(taskId);
  await second.verdict(taskId, { commitment_hash: otherCommitment });
  await pass(301);
  expect(job().nodes.map(({ address }) => address)).toEqual([leader.address, spare().address, second.address]);
  expect(failures()).toEqual([]);
});

test("verifiers are not to blame for a leader that gives them nothing", async () => {
  await start(3);
  for (const node of [leader, first, second]) await node.claim(taskId);
  await pass(301);
  expect(job()).toMatchObject({ status: "TIMEDOUT", settled: true });
  expect(failures()).toEqual([leader.address]);
});

test("without another node the job ends as TIMEDOUT with a reason, and is refunded once", async () => {
  await start(3);
  await leader.claim(taskId);
  await pass(301);
  const reason = `timeout: leader ${leader.address} is silent and no other node can take its place`;
  expect(job()).toMatchObject({ status: "TIMEDOUT", reason, rewards: {} });
  expect((await world.icl("GET", `/v1/inference/task/${taskId}`)).json).toMatchObject({
    status: "TIMEDOUT",
    reject_reason: reason,
  });
  expect((await first.get(`/internal/jobs/${taskId}/status`)).json).toMatchObject({
    status: "TIMEDOUT",
    failureReason: reason,
  });
  expect((await world.payment("GET", `/v1/jobs/${taskId}`)).json).toMatchObject({
    status: "FAILED",
    error_reason: reason,
  });
  await pass(301);
  expect(await refunded()).toBe(true);
  expect(failures()).toEqual([leader.address]);
  expect((await first.get(`/internal/assignments/${first.address}`)).json).toEqual({ assignments: [] });
  for (const answer of [await leader.claim(taskId), await leader.result(taskId), await first.verdict(taskId)])
    expect(answer).toEqual({ status: 409, json: { detail: "this task is final" } });
});

test("an answer after the claim's deadline is too late, even before the next tick", async () => {
  for (const node of [leader, first]) await node.claim(taskId);
  world.clock.advance(301);
  const late = { status: 409, json: { detail: "the time of this node for this task is over" } };
  expect(await leader.result(taskId)).toEqual(late);
  expect(await first.verdict(taskId)).toEqual(late);
  expect(await second.claim(taskId)).toEqual(late);
});

test("a silent verifier is replaced when its vote is needed, with a failure", async () => {
  for (const node of [leader, first, second]) await node.claim(taskId);
  await leader.result(taskId);
  await first.verdict(taskId, { commitment_hash: otherCommitment });
  await pass(301);
  expect(job().nodes.map(({ address }) => address)).toEqual([leader.address, first.address, spare().address]);
  expect(failures()).toEqual([second.address]);
  await spare().claim(taskId);
  await spare().verdict(taskId);
  await world.coordinator.tick();
  expect(job().status).toBe("ACCEPTED");
  expect(Object.keys(job().rewards)).toEqual([leader.address, spare().address]);
  expect(failures()).toEqual([second.address, first.address]);
});

test("a verifier that had the leader's CID only at the last moment does not fail", async () => {
  for (const node of [first, second]) await node.claim(taskId);
  world.clock.advance(100);
  await leader.claim(taskId);
  world.clock.advance(180);
  await leader.result(taskId);
  await pass(21);
  expect(job().replaced).toEqual([first.address]);
  expect(failures()).toEqual([]);
});

test("once accepted, a slow verifier may still answer and earn until its own deadline", async () => {
  for (const node of [leader, first, second]) await node.claim(taskId);
  await leader.result(taskId);
  await first.verdict(taskId);
  await pass(300);
  expect(job()).toMatchObject({ status: "ACCEPTED", settled: false });
  expect((await second.verdict(taskId)).json["finalized"]).toBe(true);
  await world.coordinator.tick();
  expect(Object.keys(job().rewards)).toEqual([leader.address, first.address, second.address]);
});

test("once accepted, one that stays silent is not replaced, fails and earns nothing", async () => {
  for (const node of [leader, first, second]) await node.claim(taskId);
  await leader.result(taskId);
  await first.verdict(taskId);
  await pass(301);
  expect(job()).toMatchObject({ status: "ACCEPTED", settled: true, replaced: [] });
  expect(Object.keys(job().rewards)).toEqual([leader.address, first.address]);
  expect(failures()).toEqual([second.address]);
  expect((await second.verdict(taskId)).json["detail"]).toBe("this task is final");
});

test("when the chain is away, or the grant has to wait, the replacement is tried again", async () => {
  await leader.claim(taskId);
  world.chain.failing.set("grantDecryptAccess", { retryable: true });
  await pass(301);
  expect(job()).toMatchObject({ status: "QUEUED", replaced: [] });
  world.chain.failing.clear();
  world.chain.reachable = false;
  await world.coordinator.tick();
  expect(job().replaced).toEqual([]);
  world.chain.reachable = true;
  await world.coordinator.tick();
  expect(job().replaced).toEqual([leader.address]);
});

test("a key store that lets no new node in ends the job", async () => {
  await leader.claim(taskId);
  world.chain.failing.set("grantDecryptAccess", { retryable: false });
  await pass(301);
  expect(job().status).toBe("TIMEDOUT");
  expect(await refunded()).toBe(true);
});

test("after the output key is stored no second leader is possible; whoever stored it is at fault", async () => {
  for (const holder of [0, 1]) {
    await start(4);
    await leader.claim(taskId);
    await first.claim(taskId);
    const { address } = world.nodes[holder]!;
    world.chain.storeKey({ jobId: outputKeyJobId(taskId), submitter: address, allowedNodes: [world.user] });
    await pass(301);
    expect(job()).toMatchObject({
      status: "TIMEDOUT",
      reason: `timeout: ${address} stored the output key, but there is no result`,
    });
    expect(failures()).toEqual([address]);
  }
});

test("a job whose prompt key is never stored ends and is refunded", async () => {
  const { taskId: waiting } = await world.submit({ fields: { metadata: {} } });
  const find = () => world.coordinator.jobs().find((item) => item.taskId === waiting)!;
  await pass(300);
  expect(find().status).toBe("QUEUED");
  await pass(1);
  expect(find()).toMatchObject({
    status: "TIMEDOUT",
    reason: "timeout: the prompt key was not stored in time",
    settled: true,
  });
});

test("five nodes need four equal answers; two wrong ones decide at once, and the money goes back", async () => {
  world = await createWorld({ nodes: 5 });
  await world.deposit(parseEther("1"));
  const quorum = world.nodes.map(({ address }) => address);
  ({ taskId } = await world.submit({ quorum }));
  const [head, a, b, c, d] = world.nodes as [TestNode, TestNode, TestNode, TestNode, TestNode];
  await head.result(taskId);
  for (const node of [a, b]) await node.verdict(taskId, { commitment_hash: otherCommitment });
  expect(job()).toMatchObject({ status: "REJECTED", settled: false });
  expect(await refunded()).toBe(true);
  // The other two may still say what they have; only with their words it is clear whose answer was the odd one.
  for (const node of [c, d]) await node.verdict(taskId, { commitment_hash: otherCommitment });
  await world.coordinator.tick();
  expect(failures()).toEqual([head.address]);
  expect(world.chain.writesOf("payReward")).toEqual([]);
  expect(await refunded()).toBe(true);
});

test("a listener that fails disturbs nobody, and one that left hears nothing", async () => {
  let heard = 0;
  world.coordinator.events.subscribe(() => {
    throw new Error("no");
  });
  const leave = world.coordinator.events.subscribe(() => {
    heard += 1;
  });
  await leader.claim(taskId);
  leave();
  await first.claim(taskId);
  expect(heard).toBe(1);
  expect(world.events.filter(({ stage }) => stage === "claimed")).toHaveLength(2);
});
