import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatEther } from "viem";
import { outputs } from "../../src/cli/jobs.ts";
import { blindToWei, createEarningsClient } from "../../src/icl/earnings.ts";
import { createScheduler } from "../../src/node/scheduler.ts";
import { expectCode } from "../crypto/expect-code.ts";
import { until } from "../helpers/until.ts";
import { modelId, startWorld, type World, type WorldJob, type WorldNode } from "../node/world.ts";
import { errorText, jsonErrorText } from "./expect-error.ts";
import { serveJson } from "./misbehaving.ts";
import { nodeDirectory } from "./node-directory.ts";
import { runCli } from "./run-cli.ts";

setDefaultTimeout(120_000);

async function json(args: string[], env: Record<string, string>): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await runCli([...args, "--json"], { env });
  expect([code, stderr]).toEqual([0, ""]);
  const document = JSON.parse(stdout) as Record<string, unknown>;
  expect(outputs[args.slice(0, 2).join(" ")]!.safeParse(document).error).toBeUndefined();
  return document;
}

describe("a node that did jobs on a devnet", () => {
  let world: World;
  let leader: WorldNode;
  let verifiers: WorldNode[];
  let job: WorldJob;
  let directory: string;
  let env: Record<string, string>;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "blf-jobs-"));
    world = await startWorld();
    leader = await world.node({ journalPath: join(directory, "journal.db") });
    verifiers = [await world.node(), await world.node()];
    writeFileSync(join(directory, "config.json"), JSON.stringify({ node_address: leader.address }));
    env = { ...world.devnet.variables, BLF_CONFIG_DIR: directory };
    job = await world.job([leader, ...verifiers]);
    await Promise.all([leader, ...verifiers].map((node) => work(node, job)));
    const isPaid = () => world.devnet.coordinator.jobs().find(({ taskId }) => taskId === job.taskId)?.settled;
    await until("it is paid", isPaid);
  });
  afterAll(async () => {
    await world?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  async function work(node: WorldNode, of: WorldJob): Promise<void> {
    const scheduler = createScheduler(node.context(), { onRoom: () => {} }, new AbortController().signal);
    scheduler.offer([await of.assignment(node)]);
    await scheduler.drain();
  }

  const earned = () => {
    const { rewards } = world.devnet.coordinator.jobs().find(({ taskId }) => taskId === job.taskId)!;
    return rewards[leader.address]!;
  };

  test("list puts the journal and the payment together", async () => {
    const { jobs, notice } = (await json(["jobs", "list"], env)) as { jobs: Record<string, unknown>[]; notice: null };
    expect(notice).toBeNull();
    expect(jobs).toHaveLength(1);
    expect(jobs[0]).toMatchObject({
      taskId: job.taskId,
      role: "leader",
      modelId,
      state: "submitted",
      paymentStatus: "COMPLETED",
      earnedWei: `${earned()}`,
      failureCode: null,
    });
    const { stdout } = await runCli(["jobs", "list"], { env });
    const [heading, line] = stdout.split("\n");
    expect(heading).toMatch(/^TIME +TASK +ROLE +TOOK +EARNED +STATE +MODEL$/);
    expect(line).toMatch(
      new RegExp(`${job.taskId.slice(0, 10)}… +leader +.* +${formatEther(earned())} +submitted +${modelId}$`),
    );
  });

  test("show tells the story, by the beginning of the id too", async () => {
    const record = leader.journal.find({ taskId: job.taskId, role: "leader" })!;
    for (const id of [job.taskId, job.taskId.slice(0, 10)]) {
      const { jobs } = (await json(["jobs", "show", id], env)) as { jobs: Record<string, unknown>[] };
      expect(jobs).toHaveLength(1);
      expect(jobs[0]).toMatchObject({
        taskId: job.taskId,
        earnedWei: `${earned()}`,
        outputCid: record.outputCid!,
        commitment: record.commitment!,
        outputKeyTx: record.outputKeyTx!,
        determinismClass: "mock/sha256",
        determinismClassHash: new Bun.CryptoHasher("sha256").update("mock/sha256").digest("hex"),
        createdAt: new Date(record.createdAt).toISOString(),
        totalMs: record.timings["total"]!,
      });
      const { steps } = jobs[0] as { steps: { name: string }[] };
      expect(steps.map(({ name }) => name)).toEqual(
        expect.arrayContaining(["decrypt-key", "generate", "upload", "store-key", "submit"]),
      );
    }
    const { stdout } = await runCli(["jobs", "show", job.taskId], { env });
    for (const line of [
      `task +${job.taskId}`,
      "role +leader",
      " +generate +\\d+ ms",
      "payment +COMPLETED",
      `earned +${formatEther(earned())} BLIND`,
    ])
      expect(stdout).toMatch(new RegExp(`^${line}$`, "m"));
    expect(errorText(await runCli(["jobs", "show", "0xnothing"], { env }))).toBe(
      "1 This node knows no job 0xnothing [JOB_UNKNOWN] | `blindference jobs list` shows the jobs.",
    );
  });

  test("earnings in all and by model", async () => {
    expect(await json(["jobs", "earnings"], env)).toEqual({
      ok: true,
      address: leader.address,
      totalEarnedWei: `${earned()}`,
      paidJobs: 1,
      byModel: [{ modelId, jobs: 1, earnedWei: `${earned()}` }],
      journal: { submitted: 1 },
      notice: null,
    });
  });

  test("offline, or when the payment service is down, the journal is shown with a notice", async () => {
    for (const [args, more] of [
      [["--offline"], {}],
      [[], { BLF_PAYMENT_SERVICE_URL: "http://127.0.0.1:1" }],
    ] as [string[], Record<string, string>][]) {
      const own = { ...env, ...more };
      const list = await json(["jobs", "list", ...args], own);
      expect(list["jobs"]).toMatchObject([
        { taskId: job.taskId, state: "submitted", earnedWei: null, paymentJobId: null },
      ]);
      expect(list["notice"]).toContain("from the journal alone, without payments");
      expect(await json(["jobs", "show", job.taskId, ...args], own)).toMatchObject({ jobs: [{ earnedWei: null }] });
      expect(await json(["jobs", "earnings", ...args], own)).toMatchObject({
        totalEarnedWei: null,
        journal: { submitted: 1 },
      });
      expect((await runCli(["jobs", "list", ...args], { env: own })).stdout).toContain("\nnote ");
    }
  });
});

describe("the payment service", () => {
  const job = (changes = {}) => ({
    job_id: "p-1",
    role: "verifier",
    status: "COMPLETED",
    amount_blind_earned: 0.2,
    model_id: "m",
    completed_at: "2026-01-31T12:00:00.123456",
    ...changes,
  });
  const serve = (text: string, status = 200) =>
    serveJson(() => new Response(text, { status, headers: { "Content-Type": "application/json" } }));
  const client = (url: string) => createEarningsClient({ baseUrl: url, fetch });

  test("amounts keep every digit, whether they come as number, string or with an exponent", async () => {
    const amounts = [
      "1.234567890123456789",
      "0.6",
      '"0.000000000000000001"',
      "2e-7",
      "100",
      "1.5E+2",
      "0.0000000000000000019",
    ];
    const jobs = amounts.map((amount) =>
      JSON.stringify(job()).replace('"amount_blind_earned":0.2', `"amount_blind_earned":${amount}`),
    );
    using server = serve(`{"jobs":[${jobs.join(",")}]}`);
    const found = await client(server.url).jobs("0x1", 100);
    expect(found.map(({ earned }) => earned)).toEqual([
      1_234_567_890_123_456_789n,
      600_000_000_000_000_000n,
      1n,
      200_000_000_000n,
      100n * 10n ** 18n,
      150n * 10n ** 18n,
      1n,
    ]);
    expect(found[0]!.completedAt).toBe(Date.UTC(2026, 0, 31, 12, 0, 0, 123));
    expect(blindToWei("12.5")).toBe(12_500_000_000_000_000_000n);
  });

  test.each([
    ["is overloaded", "{}", 429, "PAYMENT_FAILED"],
    ["is broken", "{}", 500, "PAYMENT_FAILED"],
    ["does not know the node", "{}", 404, "PAYMENT_REJECTED"],
    ["answers HTML", "<html>", 200, "PAYMENT_NOT_JSON"],
    ["answers another shape", '{"jobs":{}}', 200, "PAYMENT_UNEXPECTED_ANSWER"],
    [
      "pays less than nothing",
      JSON.stringify({ jobs: [job({ amount_blind_earned: -1 })] }),
      200,
      "PAYMENT_UNEXPECTED_ANSWER",
    ],
    ["pays infinitely much", '{"jobs":[{"amount_blind_earned":1e999}]}', 200, "PAYMENT_UNEXPECTED_ANSWER"],
    ["answers without end", " ".repeat(2_000_000), 200, "PAYMENT_BODY_TOO_LARGE"],
  ])("that %s is an error with a code", async (_name, text, status, code) => {
    using server = serve(text, status);
    await expectCode(() => client(server.url).jobs("0x1", 20), code);
  });

  test("a job that only it knows is shown by its own id", async () => {
    using server = serve(JSON.stringify({ jobs: [job(), job({ job_id: "p-2" })], job_id: "p-1", task_id: "0xabc" }));
    using node = nodeDirectory({ payment_service_url: server.url });
    expect(await json(["jobs", "show", "p-1"], node.env)).toMatchObject({
      jobs: [
        {
          taskId: null,
          paymentJobId: "p-1",
          role: "verifier",
          state: null,
          earnedWei: "200000000000000000",
          steps: [],
        },
      ],
      notice: null,
    });
  });

  test("what it says cannot command a terminal", async () => {
    using server = serve(
      JSON.stringify({
        jobs: [job({ model_id: "\u001b[2Jevil\nmodel", role: "\u0007" })],
        job_id: "p-1",
        task_id: "t",
        total_blind_earned: 0.2,
        jobs_count: 1,
      }),
    );
    using node = nodeDirectory({ payment_service_url: server.url });
    const { stdout } = await runCli(["jobs", "list"], { env: node.env });
    expect(stdout).not.toContain("\u001b");
    expect(stdout).not.toContain("\u0007");
    expect(stdout.trimEnd().split("\n")).toHaveLength(2);
    expect(stdout).toContain("\\u001b[2Jevil\\u000amodel");
    const earnings = (await runCli(["jobs", "earnings"], { env: node.env })).stdout;
    expect(earnings).not.toContain("\u001b");
    expect(earnings).not.toMatch(/^model/m);
    expect(earnings).toContain("\\u001b[2Jevil\\u000amodel");
  });
});

test("a document of --json holds no raw control character, and says what the payment service said", async () => {
  const modelId = "\u009b2J\u007f\u202eevil\u200e\nmodel";
  const job = { job_id: "p-1", role: "verifier", status: "COMPLETED", amount_blind_earned: 1, model_id: modelId };
  using server = serveJson(() => Response.json({ jobs: [job], job_id: "p-1", task_id: "t" }));
  using node = nodeDirectory({ payment_service_url: server.url });
  const { stdout } = await runCli(["jobs", "list", "--json"], { env: node.env });
  expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e\u202e]/);
  expect(JSON.parse(stdout)).toMatchObject({ jobs: [{ modelId }] });
});

test("a node without jobs, and options that cannot be", async () => {
  using node = nodeDirectory();
  expect((await runCli(["jobs", "list", "--offline"], { env: node.env })).stdout).toStartWith("No jobs yet.\n");
  expect(await json(["jobs", "list", "--offline"], node.env)).toMatchObject({ jobs: [] });
  const lines = new Set<string>();
  for (const limit of ["0", "101", "x", "1e1", "-3"])
    lines.add(
      jsonErrorText(await runCli(["jobs", "list", "--offline", "--json", "--limit", limit], { env: node.env })),
    );
  expect([...lines]).toEqual([
    "2 --limit must be a whole number from 1 to 100 [USAGE_INVALID_OPTION] | Run `blindference jobs list --help`.",
  ]);
});

test("the commands write nothing: a directory without a journal stays without one", async () => {
  using node = nodeDirectory();
  await json(["jobs", "earnings", "--offline"], node.env);
  await json(["jobs", "list", "--offline"], node.env);
  expect(await Bun.file(join(node.dir, "journal.db")).exists()).toBe(false);
});
