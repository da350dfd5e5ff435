import { beforeEach, describe, expect, test } from "bun:test";
import { parseEther } from "viem";
import { createWorld, serviceSecret, submission, type World } from "./world.ts";

let world: World;
beforeEach(async () => {
  world = await createWorld();
});

const balance = async () => (await world.payment("GET", `/v1/balance/${world.user}`)).json;
const finish = async (taskId: string) => {
  const [leader, ...verifiers] = world.nodes;
  await leader!.result(taskId);
  for (const verifier of verifiers) await verifier.verdict(taskId);
  await world.coordinator.tick();
};

describe("credits", () => {
  test("a BLIND transfer to the treasury is credited once to its sender", async () => {
    const value = 123_456_789_012_345_678_901n;
    const tx = world.chain.transfer(world.user, world.chain.treasury, value);
    const deposit = () => world.payment("POST", "/v1/deposit", { tx_hash: tx });
    const answers = await Promise.all([deposit(), deposit()]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
    expect(answers.find(({ status }) => status === 200)!.json).toEqual({
      status: "credited",
      tx_hash: tx,
      user_address: world.user.toLowerCase(),
      balance_cusdc: "0",
      balance_blind: value.toString(),
      total_deposited_cusdc: "0",
      total_deposited_blind: value.toString(),
      total_spent_cusdc: "0",
      total_spent_blind: "0",
    });
    const upper = `0x${tx.slice(2).toUpperCase()}`;
    expect((await world.payment("POST", "/v1/deposit", { tx_hash: upper })).status).toBe(409);
    expect((await balance())["balance_blind"]).toBe(value.toString());
  });

  test("other transfers and unknown transactions are refused, and may be tried again once they are there", async () => {
    const [node] = world.nodes;
    const elsewhere = world.chain.transfer(world.user, node!.address, 5n);
    const unknown = world.chain.newHash();
    for (const tx of [elsewhere, unknown])
      expect(await world.payment("POST", "/v1/deposit", { tx_hash: tx })).toEqual({
        status: 400,
        json: { detail: `transaction ${tx} holds no confirmed BLIND transfer to ${world.chain.treasury}` },
      });
    world.chain.transfers.set(unknown, [{ from: world.user, to: world.chain.treasury, value: 7n }]);
    expect((await world.payment("POST", "/v1/deposit", { tx_hash: unknown })).status).toBe(200);
    expect((await world.payment("POST", "/v1/deposit", { tx_hash: "0x12" })).status).toBe(422);
    expect((await world.payment("POST", "/v1/deposit", "{")).status).toBe(400);
    expect((await world.payment("GET", "/v1/balance/nobody")).status).toBe(400);
  });

  test("packages have exact prices, and buying one gives cUSDC credits once", async () => {
    const text = await (await world.coordinator.payment.request("/v1/credits/packages")).text();
    expect(text).toContain('"price_blind":450,"price_blind_wei":450000000000000000000}');
    expect(JSON.parse(text).packages.map((item: Record<string, unknown>) => [item["id"], item["total_calls"]])).toEqual(
      [
        ["starter", 100],
        ["pro", 525],
        ["enterprise", 5500],
      ],
    );
    const tx = world.chain.transfer(world.user, world.chain.treasury, parseEther("450"));
    const buy = (id: string) => world.payment("POST", "/v1/credits/purchase-package", { package_id: id, tx_hash: tx });
    expect((await buy("huge")).status).toBe(404);
    expect((await buy("starter")).status).toBe(400);
    expect((await buy("pro")).json).toMatchObject({ status: "success", credits_awarded_cusdc: "525000" });
    expect((await buy("pro")).status).toBe(409);
    expect((await world.payment("POST", "/v1/deposit", { tx_hash: tx })).status).toBe(409);
    expect(await balance()).toMatchObject({ balance_cusdc: "525000", balance_blind: "0" });
  });

  test("health says whether the chain answers", async () => {
    const ok = { status: "ok", database_connected: true, chain_connected: true, staking_reachable: true };
    expect((await world.payment("GET", "/health")).json).toEqual(ok);
    world.chain.reachable = false;
    expect((await world.payment("GET", "/health")).json["status"]).toBe("degraded");
  });
});

describe("submitting", () => {
  test("a job costs 0.08 BLIND, or 0.4 at groq; the answer has the shape of the original's", async () => {
    await world.deposit(parseEther("1"));
    const { status, json } = await world.submit();
    expect(status).toBe(200);
    expect(json).toEqual({
      job_id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/),
      status: "RUNNING",
      escrow_id: null,
      coverage_id: null,
    });
    expect(await balance()).toMatchObject({
      balance_blind: parseEther("0.92").toString(),
      total_spent_blind: parseEther("0.08").toString(),
    });
    const groq = "groq:llama-3.3-70b-versatile";
    for (const node of world.nodes) await node.attest([groq]);
    await world.submit({ modelId: groq });
    expect((await balance())["balance_blind"]).toBe(parseEther("0.52").toString());
  });

  test("without enough credits 402 says what is needed", async () => {
    expect(await world.submit()).toMatchObject({
      status: 402,
      json: { detail: "Insufficient credits: need 0 cUSDC / 80000000000000000 BLIND" },
    });
    expect((await world.submit({ fields: { payment_currency: "cusdc" } })).json["detail"]).toBe(
      "Insufficient credits: need 1000 cUSDC / 0 BLIND",
    );
    expect(world.coordinator.jobs()).toEqual([]);
  });

  test("the same task twice, also at the same moment, is one job and one price", async () => {
    await world.deposit(parseEther("1"));
    const taskId = `0x${"cd".repeat(32)}`;
    const [first, second] = await Promise.all([world.submit({ taskId }), world.submit({ taskId })]);
    const third = await world.submit({ taskId });
    expect(first.status).toBe(200);
    expect(second.json["job_id"]).toBe(first.json["job_id"]!);
    expect(third.json["job_id"]).toBe(first.json["job_id"]!);
    expect((await balance())["total_spent_blind"]).toBe(parseEther("0.08").toString());
    const other = await world.submit({ taskId, fields: { user_address: world.nodes[0]!.address } });
    expect(other).toMatchObject({ status: 409, json: { detail: `task_id ${taskId} is already in use` } });
  });

  test("somebody else's failing submission at the same moment does not take the task away", async () => {
    await world.deposit(parseEther("1"));
    const taskId = `0x${"ef".repeat(32)}`;
    const [poor, good] = await Promise.all([
      world.submit({ taskId, fields: { user_address: world.nodes[0]!.address } }),
      world.submit({ taskId }),
    ]);
    expect([poor.status, good.status]).toEqual([402, 200]);
  });

  test("nobody spends the credits of a wallet that did not store the key", async () => {
    await world.deposit(parseEther("1"));
    const quorum = world.nodes.map(({ address }) => address);
    const taskId = `0x${"ab".repeat(32)}` as const;
    const tx = world.chain.storeKey({ jobId: taskId, submitter: quorum[0]!, allowedNodes: quorum });
    const body = submission(world.user, taskId, "tiny-noise", 2, tx);
    expect(await world.payment("POST", "/v1/jobs/submit", body)).toEqual({
      status: 400,
      json: { detail: "the prompt key was not stored by the wallet that submits the job" },
    });
    expect((await balance())["balance_blind"]).toBe(parseEther("1").toString());
  });

  test("escrow, insurance and bodies that make no sense are refused", async () => {
    await world.deposit(parseEther("1"));
    const attempt = async (fields: Record<string, unknown>) => world.submit({ fields });
    expect((await attempt({ payment_mode: "escrow", escrow_id: "5" })).json["detail"]).toBe(
      "payment_mode 'escrow' is not offered by this network, use 'credits'",
    );
    expect((await attempt({ insurance_opt_in: true })).json["detail"]).toBe("insurance is not offered by this network");
    for (const fields of [
      { task_id: undefined },
      { task_id: "550e8400-e29b-41d4-a716-446655440000" },
      { user_address: "me" },
      { model_id: "" },
      { prompt_cid: "../x" },
      { verifier_count: 0 },
    ])
      expect((await attempt(fields)).status).toBe(422);
    expect((await attempt({ unknown_field: 1, permits: [{ node: "x", permit: {} }] })).status).toBe(200);
  });
});

describe("a paid job", () => {
  beforeEach(() => world.deposit(parseEther("1")));

  test("is found by job_id and task_id, and shows what was really paid", async () => {
    const { taskId, json } = await world.submit();
    const id = String(json["job_id"]);
    expect((await world.payment("GET", `/v1/jobs/${id}`)).json).toMatchObject({
      job_id: id,
      task_id: taskId,
      user_address: world.user.toLowerCase(),
      amount_cusdc: "0",
      amount_blind: parseEther("0.08").toString(),
      payment_currency: "blind",
      status: "RUNNING",
      rewards: {},
      rewards_distributed: false,
      reward_tx_hashes: [],
      created_at: "2025-06-15T15:06:40.000Z",
    });
    await finish(taskId);
    const [leader, first, second] = world.nodes.map(({ address }) => address) as [string, string, string];
    const text = await (await world.coordinator.payment.request(`/v1/jobs/${taskId}`)).text();
    expect(text).toContain(`"rewards":{"${leader}":0.048,"${first}":0.016,"${second}":0.016}`);
    const job = JSON.parse(text);
    expect(job).toMatchObject({
      status: "COMPLETED",
      leader_address: leader,
      verifier_addresses: [first, second],
      output_cid: "bafkreioutput",
      rewards_distributed: true,
      rewards_wei: { [leader]: "48000000000000000", [first]: "16000000000000000", [second]: "16000000000000000" },
    });
    expect(job.reward_tx_hashes).toHaveLength(3);
    expect((await world.payment("GET", "/v1/jobs/nope")).json).toEqual({ detail: "Job nope not found" });
  });

  test("paid in cUSDC, it is worth 1 BLIND", async () => {
    const tx = world.chain.transfer(world.user, world.chain.treasury, parseEther("100"));
    await world.payment("POST", "/v1/credits/purchase-package", { package_id: "starter", tx_hash: tx });
    const { taskId } = await world.submit({ fields: { payment_currency: "cusdc" } });
    await finish(taskId);
    expect(world.chain.writesOf("payReward").map(({ amount }) => amount)).toEqual([
      parseEther("0.6"),
      parseEther("0.2"),
      parseEther("0.2"),
    ]);
    expect((await balance())["balance_cusdc"]).toBe("99000");
  });

  test("rewards that could not be sent are sent later, each once; refused ones are not shown as paid", async () => {
    const { taskId } = await world.submit();
    world.chain.failing.set("payReward", { retryable: true });
    await finish(taskId);
    expect(world.coordinator.jobs()[0]).toMatchObject({ settled: false, rewards: {} });
    expect((await world.payment("GET", `/v1/jobs/${taskId}`)).json["rewards_distributed"]).toBe(false);
    world.chain.failing.clear();
    await Promise.all([world.coordinator.tick(), world.coordinator.tick()]);
    await world.coordinator.tick();
    expect(world.chain.writesOf("payReward")).toHaveLength(3);
    expect(world.events.filter(({ stage }) => stage === "settled")).toHaveLength(1);

    world.clock.advance(1);
    const second = await world.submit();
    world.chain.failing.set("payReward", { retryable: false });
    await finish(second.taskId);
    expect(world.coordinator.jobs()[1]).toMatchObject({ settled: true, rewards: {} });
    expect(world.logLines.filter((line) => line.includes("refused"))).toHaveLength(3);
  });

  test("only a service with the secret may end it, and never with a result of its own", async () => {
    const { taskId, json } = await world.submit();
    const complete = (body: unknown, secret?: string) =>
      world.payment("POST", `/v1/jobs/${json["job_id"]}/complete`, body, secret ? { "X-Service-Secret": secret } : {});
    expect((await complete({ status: "timeout" })).status).toBe(401);
    expect((await complete({ status: "timeout" }, "guess")).status).toBe(401);
    expect((await complete({ status: "success" }, serviceSecret)).status).toBe(409);
    expect((await complete({ status: "rejected" }, serviceSecret)).json["status"]).toBe("REFUNDED");
    expect((await balance())["balance_blind"]).toBe(parseEther("1").toString());
    const again = await complete({ status: "success", leader_address: world.user }, serviceSecret);
    expect(again.json).toMatchObject({ note: "already_finalized", status: "REFUNDED" });
    expect((await balance())["balance_blind"]).toBe(parseEther("1").toString());
    expect((await world.nodes[0]!.result(taskId)).json["detail"]).toBe("this task is final");
  });

  test("statistics of nodes and developers", async () => {
    const { taskId, json } = await world.submit();
    await finish(taskId);
    await world.submit();
    const [leader, first] = world.nodes.map(({ address }) => address) as [string, string];
    expect((await world.payment("GET", `/v1/nodes/${leader}/jobs?limit=5`)).json).toEqual({
      node_address: leader.toLowerCase(),
      count: 1,
      jobs: [
        {
          job_id: json["job_id"],
          role: "leader",
          status: "COMPLETED",
          amount_blind_earned: 0.048,
          model_id: "tiny-noise",
          completed_at: "2025-06-15T15:06:40.000Z",
        },
      ],
    });
    expect((await world.payment("GET", `/v1/nodes/${leader}/jobs?limit=101`)).status).toBe(422);
    expect((await world.payment("GET", `/v1/nodes/${first}/earnings`)).json).toEqual({
      total_blind_earned: 0.016,
      jobs_count: 1,
    });
    expect((await world.payment("GET", `/v1/nodes/${leader}/stats`)).json).toEqual({
      total_jobs: 1,
      success: 1,
      failed: 0,
      slashed: 0,
      slash_count: 0,
      current_stake_blind: "1000.0000",
      total_earned_blind: 0.048,
    });
    expect((await world.payment("GET", `/v1/nodes/${leader}/exists`)).json).toEqual({ is_operator: true });
    expect((await world.payment("GET", `/v1/nodes/${world.user}/exists`)).json).toEqual({ is_operator: false });
    expect((await world.payment("GET", `/v1/developers/${world.user}/stats`)).json).toEqual({
      address: world.user.toLowerCase(),
      total_jobs: 2,
      completed: 1,
      failed: 0,
      rejected: 0,
      total_cusdc_spent: "0",
      total_blind_spent: parseEther("0.16").toString(),
    });
  });
});
