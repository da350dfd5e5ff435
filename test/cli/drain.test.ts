import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseEther } from "viem";
import { outputs } from "../../src/cli/drain.ts";
import { type Devnet, startDevnet } from "../../src/devnet/devnet.ts";
import { openDevnetRequester } from "../../src/devnet/requester.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { infer } from "../../src/requester/infer.ts";
import { createPrivateKey } from "../../src/wallet/private-key.ts";
import { walletFromPrivateKey } from "../../src/wallet/wallet.ts";
import { captureLog } from "../helpers/capture-log.ts";
import { tempDirectory } from "../helpers/temp-directory.ts";
import { until } from "../helpers/until.ts";
import { startDaemonProcess } from "./daemon.ts";
import { failure } from "./expect-error.ts";
import { keystoreDirectory } from "./keystore-directory.ts";
import { nodeDirectory } from "./node-directory.ts";
import { type CliOptions, runCli } from "./run-cli.ts";

setDefaultTimeout(120_000);

const drain = async (options: CliOptions, ...args: string[]) => {
  const { code, stdout, stderr } = await runCli(["drain", ...args, "--json"], options);
  expect([code, code === 0 ? "" : stdout, stderr]).toEqual([0, "", ""]);
  return outputs["drain"]!.parse(JSON.parse(stdout)) as { running: number; ended: boolean };
};

const noNode =
  "1 No node runs on DIR [NODE_NOT_RUNNING] | Nothing needs to be drained. If it runs under another user or directory, call this with the same BLF_CONFIG_DIR.";

test("without a running node there is nothing to drain, whatever an earlier one left behind", async () => {
  using node = nodeDirectory();
  expect(await failure(["drain"], { env: node.env }, node.dir)).toBe(noNode);
  node.write("control.json", JSON.stringify({ url: "http://127.0.0.1:1", token: "0".repeat(64) }));
  expect(await failure(["drain", "--wait"], { env: node.env }, node.dir)).toBe(noNode);
  for (const damaged of ["", "{}", '{"url":"http://example.com:80","token":"00"}', "null"]) {
    node.write("control.json", damaged);
    expect(await failure(["drain"], { env: node.env }, node.dir)).toBe(noNode);
  }
});

test("a node with nothing to do ends at once, with 0", async () => {
  using node = nodeDirectory({ mock_model_ids: ["mock-model"] });
  const daemon = await startDaemonProcess(node.unlocked);
  expect(existsSync(join(node.dir, "control.json"))).toBe(true);
  expect(await drain({ env: node.env }, "--wait")).toMatchObject({ running: 0, ended: true });
  expect(existsSync(join(node.dir, "control.json"))).toBe(false);
  expect((await daemon.stop()).code).toBe(0);
  expect(await failure(["drain"], { env: node.env }, node.dir)).toBe(noNode);
});

describe("a node with a running job", () => {
  const directory = tempDirectory();
  const go = join(directory.path, "go");
  let devnet: Devnet;

  beforeAll(async () => {
    devnet = await startDevnet({ portBase: 0, clock: systemClock, log: captureLog().log });
    const waiting = `
      import { existsSync } from "node:fs";
      import { defineBackend } from "blindference";
      export default defineBackend({
        name: "patient",
        models: ["patient-1"],
        probe: () => true,
        async generate({ prompt }, { signal }) {
          while (!existsSync(${JSON.stringify(go)})) {
            signal.throwIfAborted();
            await Bun.sleep(50);
          }
          return { text: prompt.toUpperCase() };
        },
      });`;
    writeFileSync(join(directory.path, "patient.ts"), waiting);
  });
  const started: Awaited<ReturnType<typeof startDaemonProcess>>[] = [];
  afterAll(async () => {
    for (const daemon of started) daemon.signal("SIGKILL");
    await devnet.stop();
    directory[Symbol.dispose]();
  });

  const startDaemon = async () => {
    const key = createPrivateKey();
    const { address } = walletFromPrivateKey(key);
    await devnet.fund(address);
    const node = await keystoreDirectory(key, {
      custom_backends: [join(directory.path, "patient.ts")],
      mock_model_ids: ["mock-model"],
    });
    const env = { ...devnet.variables, ...node.unlocked, BLF_STATUS_PORT: "0" };
    for (const args of [
      ["attest", "--mock", "--register"],
      ["staking", "stake", "1000"],
    ])
      expect((await runCli([...args, "--json"], { env })).code).toBe(0);
    const daemon = await startDaemonProcess(env);
    started.push(daemon);
    return { address, node, env, ...daemon };
  };

  test("finishes it, takes no other one, and ends with 0", async () => {
    const [leader, verifier] = await Promise.all([startDaemon(), startDaemon()]);
    const signal = AbortSignal.timeout(90_000);
    const requester = await openDevnetRequester({ devnet, credits: parseEther("10"), log: captureLog().log, signal });
    const quorumPreview = async () => ({ leader: leader.address, verifiers: [verifier.address] });
    const ask = (modelId: string, prompt: string, given = signal) => {
      const parameters = { prompt, modelId, verifierCount: 1, currency: "blind", signal: given } as const;
      return infer({ ...requester, client: { ...requester.client, quorumPreview } }, parameters);
    };
    const claims = (log: string) => log.split('"message":"job claimed"').length - 1;
    const first = ask("patient-1", "wait for me");
    await until("both nodes work on it", () => claims(leader.log()) === 1 && claims(verifier.log()) === 1, {
      timeoutMs: 60_000,
    });

    const ended = drain({ env: leader.env }, "--wait");
    await until("the node has been asked", () => leader.log().includes('"message":"draining: '), { timeoutMs: 30_000 });
    const late = new AbortController();
    const second = ask("mock-model", "too late", AbortSignal.any([signal, late.signal])).catch(() => "unanswered");
    await until("the other node has claimed the second job", () => claims(verifier.log()) === 2, { timeoutMs: 60_000 });
    // Asked again it says that the job still runs.
    expect(await drain({ env: leader.env })).toMatchObject({ running: 1, ended: false });
    writeFileSync(go, "");
    expect(await ended).toMatchObject({ running: 1, ended: true });

    expect((await first).answer).toBe("WAIT FOR ME");
    const { code, log } = await leader.stop();
    expect(code).toBe(0);
    expect(claims(log)).toBe(1);
    late.abort();
    expect(await second).toBe("unanswered");
    // Its job has no leader any more: only a second signal makes the verifier give it up.
    verifier.signal("SIGTERM");
    await until("it has heard the first signal", () => verifier.log().includes("a second signal aborts them"));
    await verifier.stop();
    for (const { node } of [leader, verifier]) node[Symbol.dispose]();
    await requester.cofhe.close();
  });
});
