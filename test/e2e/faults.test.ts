import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { parseEther } from "viem";
import { blindAbi } from "../../src/chain/abi/blind.ts";
import { stakingAbi } from "../../src/chain/abi/staking.ts";
import { infer } from "../../src/requester/infer.ts";
import { faultyExecutable, isBuilt } from "./executable.ts";
import { modelId, startNetwork, type TestNetwork, type TestNode } from "./network.ts";

/** `blind` for models that are neither Groq's nor Gemini's: 0.001 USD less 20 %, at 0.01 USD (PROTOCOL.md 8). */
const price = parseEther("0.08");

describe.skipIf(!isBuilt)("a node that answers wrongly", () => {
  let network: TestNetwork;
  let honest: [TestNode, TestNode];
  let wrong: TestNode;

  beforeAll(async () => {
    network = await startNetwork({ executable: faultyExecutable, nodes: [{}, {}, { BLF_FAULT: "wrong-answer" }] });
    const [first, second, third] = network.nodes;
    honest = [first!, second!];
    wrong = third!;
  }, 120_000);

  afterAll(() => network.stop());

  const ask = (quorum: TestNode[]) =>
    infer(network.withQuorum(quorum), {
      prompt: "who is right?",
      modelId,
      verifierCount: 2,
      currency: "blind",
      signal: AbortSignal.timeout(60_000),
    });

  const balance = (node: TestNode) =>
    network.requester.chain.client.readContract({
      address: network.devnet.addresses.blind,
      abi: blindAbi,
      functionName: "balanceOf",
      args: [node.address],
    });

  const failures = async (node: TestNode) => {
    const info = await network.requester.chain.client.readContract({
      address: network.devnet.addresses.staking,
      abi: stakingAbi,
      functionName: "getStakeInfo",
      args: [node.address],
    });
    return info.consecutiveFailures;
  };

  const credits = async () => (await network.requester.client.balance(network.requester.address)).balance_blind;

  test("as verifier: the job is accepted, the others are paid 60 % and 20 %, and it earns nothing", async () => {
    const before = await Promise.all(network.nodes.map(balance));
    const result = await ask([honest[0], honest[1], wrong]);
    const job = await network.settled(result.taskId);
    expect(job.status).toBe("ACCEPTED");
    expect(job.nodes.map(({ address, agreed }) => [address, agreed])).toEqual([
      [honest[0].address, true],
      [honest[1].address, true],
      [wrong.address, false],
    ]);
    const after = await Promise.all(network.nodes.map(balance));
    const earned = after.map((wei, index) => wei - before[index]!);
    expect(earned).toEqual([(price * 60n) / 100n, (price * 20n) / 100n, 0n]);
    expect(await failures(wrong)).toBe(1n);
    expect(await failures(honest[1])).toBe(0n);
  }, 90_000);

  test("as leader: the job is rejected, nobody is paid, and the requester has its credits back", async () => {
    const balances = await Promise.all(network.nodes.map(balance));
    const creditsBefore = await credits();
    const error = await ask([wrong, honest[0], honest[1]]).then(
      () => undefined,
      (reason: { code: string }) => reason,
    );
    expect(error?.code).toBe("JOB_REJECTED");
    const job = network.devnet.coordinator.jobs().at(-1)!;
    await network.settled(job.taskId);
    expect(job.status).toBe("REJECTED");
    expect(await Promise.all(network.nodes.map(balance))).toEqual(balances);
    expect(await credits()).toBe(creditsBefore);
    expect(await failures(wrong)).toBe(2n);
    expect(await failures(honest[0])).toBe(0n);
  }, 90_000);
});

describe.skipIf(!isBuilt)("a node in which something fails that nothing waits for", () => {
  let network: TestNetwork;

  beforeAll(async () => {
    const stray = { BLF_FAULT: "stray-errors" };
    network = await startNetwork({ executable: faultyExecutable, nodes: [stray, stray] });
  }, 120_000);

  afterAll(() => network.stop());

  test("goes on: it says so without quoting anything, counts it, answers its jobs and ends in order", async () => {
    const quorum = network.nodes;
    const { taskId } = await infer(network.withQuorum(quorum), {
      prompt: "are you still there?",
      modelId,
      verifierCount: 1,
      currency: "blind",
      signal: AbortSignal.timeout(60_000),
    });
    expect((await network.settled(taskId)).status).toBe("ACCEPTED");
    for (const node of quorum) {
      const metrics = await (await fetch(`${node.statusUrl}/metrics`)).text();
      expect(metrics).toMatch(/^blindference_stray_errors_total 2$/m);
      const said = node.output().match(/something failed that nothing waited for; the node goes on.*/g);
      expect(said).toHaveLength(2);
      for (const line of said!) expect(line).toMatch(/code"?[=:]"?INTERNAL.*positions"?[=:]"?\d+:\d+/);
      expect(node.output()).not.toContain("the text of a stray");
      node.process.kill("SIGTERM");
      expect(await node.process.exited).toBe(0);
    }
  }, 90_000);
});
