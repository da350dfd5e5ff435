import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type AskOptions, ask, type CanaryJob } from "../canary/jobs.ts";
import { type CanaryNetwork, models, slowModel, startCanaryNetwork } from "../canary/network.ts";
import { echoTimes, rpcErrorTimes } from "../canary/proxy.ts";
import { leaksIn, type Place } from "../canary/search.ts";
import { canaryWord } from "../canary/secrets.ts";
import { type Canary, needlesOf } from "../canary/spellings.ts";
import { until } from "../helpers/until.ts";
import { executable, isBuilt } from "./executable.ts";

const patience = { timeoutMs: 60_000 };

describe.skipIf(process.platform !== "linux" || !isBuilt)("nothing that nodes write, print or tell", () => {
  let network: CanaryNetwork;
  const jobs: CanaryJob[] = [];
  const more: Canary[] = [];

  beforeAll(async () => {
    network = await startCanaryNetwork(process.env["CANARY_EXECUTABLE"] ?? executable);
  }, 120_000);

  afterAll(async () => {
    for (const job of jobs) job.abandon();
    await network.stop();
  }, 30_000);

  const buy = (modelId: string, options: AskOptions = {}): CanaryJob => {
    const job = ask(network.requester, network.nodes, modelId, options);
    jobs.push(job);
    return job;
  };

  /** What a node logged of a job. */
  const linesOf = (node: number, { taskId }: CanaryJob) =>
    network.nodes[node]!.output()
      .split("\n")
      .filter((line) => line.includes(taskId));
  const said = (node: number, job: CanaryJob, message: string) =>
    linesOf(node, job).some((line) => line.includes(`"${message}"`));
  const look = () => Promise.all(network.nodes.map((node) => node.look()));
  const failed = (all: CanaryJob[]) =>
    until("the leader has failed", () => all.every((job) => said(0, job, "job failed")), patience);

  test("with jobs of every backend, and with models and services that quote what they were sent", async () => {
    const good = [...models.map((model) => buy(model)), buy("canary-careless", { words: "please print" })];
    const bad = [
      ...["canary-vllm", "groq:canary", "gemini:canary"].map((model) => buy(model, { words: "please refuse" })),
      buy("canary-careless", { words: "please throw" }),
      buy("canary-careless", { words: "please exit" }),
      buy("canary-llama", { tamper: true }),
    ];
    await until("one is claimed", () => good.some((job) => said(0, job, "job claimed")), patience);
    await look();
    for (const job of good) expect(await job.result).toBeDefined();
    await failed(bad);
    await look();
  }, 90_000);

  test("with every other service quoting what it was sent", async () => {
    const { rpc, icl, ipfs } = network.proxies;
    // First what passes when it is tried again: both nodes meet each of them.
    icl.rule = echoTimes(8, 500, ({ path }) => !path.includes("heartbeat"));
    let wrong = 2;
    ipfs.rule = (seen) =>
      seen.method === "GET" && wrong-- > 0
        ? new Response(wrong % 2 === 0 ? "not what was asked for" : seen.path, { status: wrong % 2 === 0 ? 200 : 404 })
        : undefined;
    rpc.rule = echoTimes(6, 503, ({ body }) => body.includes("eth_call"));
    const patient = [buy("canary-llama"), buy("canary-careless")];
    for (const job of patient) expect(await job.result).toBeDefined();
    // Then what does not: each of them ends one job.
    const refused = echoTimes(1, 403, ({ method }) => method === "POST");
    ipfs.rule = refused;
    const forbidden = echoTimes(2, 400, ({ path }) => path.includes("claim"));
    icl.rule = forbidden;
    const reverted = rpcErrorTimes(2, ({ body }) => body.includes("eth_estimateGas"));
    rpc.rule = reverted;
    const lost = ["canary-llama", "canary-careless", "canary-vllm", "groq:canary"].map((model) => buy(model));
    const used = () => [refused, forbidden, reverted].every((rule) => rule.left() === 0);
    await until("each was met", used, patience);
    const over = (job: CanaryJob) => said(0, job, "job failed") || said(0, job, "job done");
    await until("all are over", () => lost.every(over), patience);
    expect(lost.some((job) => said(0, job, "job failed"))).toBe(true);
    await look();
  }, 90_000);

  test("with an engine and a node that are killed, and a node that is interrupted", async () => {
    const [first] = network.nodes;
    const crashing = buy(slowModel);
    const waiting = buy("canary-careless", { words: "please wait" });
    const opened = (job: CanaryJob) => linesOf(0, job).filter((line) => line.includes("take-output-key")).length;
    await until("the model runs", () => opened(crashing) === 1, patience);
    process.kill(await until("the engine runs", () => engineOf(first.pid())), "SIGSEGV");
    await until("the other prompt is open", () => opened(waiting) === 1, patience);
    await failed([crashing]);
    await look();
    await first.kill("SIGKILL");
    await first.run();
    await until("the prompt is open again", () => opened(waiting) === 2, patience);
    await look();
    first.signal("SIGINT");
    await until("it heard that", () => first.output().includes("a second signal aborts them"));
    await first.kill("SIGINT");
    waiting.abandon();
  }, 90_000);

  test("with commands that fail", async () => {
    const [first] = network.nodes;
    const password = canaryWord("wrong");
    const key = canaryWord("mock-key");
    more.push({ name: "a wrong password", value: password }, { name: "the mock attestation key", value: key });
    const fails = async (args: string[], extra: Record<string, string> = {}) =>
      expect([args[0], (await first.command(args, extra)) > 0]).toEqual([args[0], true]);
    const echo = network.proxies.rpc;
    echo.rule = echoTimes(100, 401, ({ method }) => method === "GET");
    await Promise.all([
      fails(["keys", "export", "--yes-i-know"], { BLF_KEY_PASSWORD: password }),
      fails(["balance"], { BLF_RPC_URL: "http://127.0.0.1:1" }),
      fails(["attest", "--mock"], { MOCK_ATTESTATION_KEY: key }),
      fails(["models", "pull", "some/model"], { BLF_MODEL_HUB_URL: echo.url }),
      fails(["models", "test", "groq:canary", "please refuse this"]),
      fails(["init"]),
    ]);
    expect(await first.command(["init", "--json"], { BLF_CONFIG_DIR: join(first.data, "..", "other") })).toBe(0);
    echo.rule = undefined;
    const keystore = join(first.data, "keystore.json");
    const content = readFileSync(keystore, "utf8");
    writeFileSync(keystore, content.replace(/"mac": "..../, '"mac": "zzzz'));
    await fails(["run"]);
    writeFileSync(keystore, content);
    await fails(["run"], { BLF_KEY_PASSWORD: password });
  }, 90_000);

  test("with a password that is changed", async () => {
    const [first] = network.nodes;
    const password = canaryWord("next");
    more.push({ name: "the next password", value: password });
    const change = () => first.command(["keys", "change-password"], { BLF_NEW_KEY_PASSWORD: password });
    expect(await change()).toBe(0);
    expect(await change()).toBeGreaterThan(0);
    await first.run({ BLF_KEY_PASSWORD: password });
    await look();
  }, 90_000);

  test("holds a prompt, an answer, a key, a password or a token", () => {
    const secrets = [...network.secrets(), ...more, ...jobs.flatMap((job) => job.secrets)];
    const needles = secrets.flatMap(needlesOf);
    const places: Place[] = network.places();
    // What is looked through is really there.
    const written = Buffer.concat(places.map(({ content }) => content)).toString("latin1");
    for (const { taskId } of jobs) expect(written.includes(taskId)).toBe(true);
    expect(places.filter(({ where }) => where.includes("__engine")).length).toBeGreaterThan(6);
    expect(places.filter(({ where }) => where.includes("__backend")).length).toBeGreaterThan(6);
    expect(leaksIn(places, needles)).toEqual([]);
  }, 60_000);
});

/** The process of a node's engine. */
function engineOf(pid: number): number | undefined {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
  return children.find((child) => {
    try {
      return readFileSync(`/proc/${child}/cmdline`, "utf8").includes("\0__engine");
    } catch {
      return false;
    }
  });
}
