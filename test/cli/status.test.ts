import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { StatusDocument } from "../../src/cli/status/document.ts";
import { outputs } from "../../src/cli/status.ts";
import { type Devnet, startDevnet } from "../../src/devnet/devnet.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { createLogger } from "../../src/lib/log.ts";
import { createPrivateKey } from "../../src/wallet/private-key.ts";
import { walletFromPrivateKey } from "../../src/wallet/wallet.ts";
import { freePort } from "../helpers/free-port.ts";
import { until } from "../helpers/until.ts";
import { startDaemonProcess } from "./daemon.ts";
import { keystoreDirectory } from "./keystore-directory.ts";
import { serveJson } from "./misbehaving.ts";
import { runCli } from "./run-cli.ts";
import { interrupt, runOnTerminal } from "./terminal.ts";

setDefaultTimeout(120_000);

const log = createLogger({ level: "error", format: "text", clock: systemClock, write: (line) => console.error(line) });
let devnet: Devnet;

beforeAll(async () => {
  devnet = await startDevnet({ portBase: 0, clock: systemClock, log });
});
afterAll(async () => devnet?.stop());

async function node() {
  const key = createPrivateKey();
  const { address } = walletFromPrivateKey(key);
  const directory = await keystoreDirectory(key);
  const env = {
    ...devnet.variables,
    ...directory.unlocked,
    BLF_MOCK_MODEL_IDS: "mock-model",
    BLF_STATUS_PORT: String(freePort()),
  };
  return { ...directory, address, env };
}

/** What `status` says; once more when the chain needed longer than it is given, as on a busy machine. */
function statusOf(env: Record<string, string>, args: string[] = []): Promise<StatusDocument> {
  const ask = async () => {
    const { code, stdout, stderr } = await runCli(["status", "--json", ...args], { env });
    expect([code, stderr]).toEqual([0, ""]);
    const document = JSON.parse(stdout) as StatusDocument;
    expect(outputs["status"]!.safeParse(document).error).toBeUndefined();
    return document;
  };
  return until(
    "the chain answers in time",
    async () => {
      const document = await ask();
      return document.unanswered.some(({ code }) => code === "TIMEOUT") ? undefined : document;
    },
    { timeoutMs: 60_000 },
  );
}

describe("a node that does not run", () => {
  test("from nothing to running, `to do` names the next command", async () => {
    using own = await node();
    const fresh = await statusOf(own.env);
    expect(fresh).toMatchObject({
      live: false,
      state: "not running",
      registered: false,
      reputation: null,
      balance: { blindWei: "0", etherWei: "0" },
      stake: { stakedWei: "0", active: false, consecutiveFailures: 0, maxConsecutiveFailures: 3 },
      earnings: { earnedWei: "0", jobs: 0 },
      unanswered: [],
    });
    expect(fresh.toDo).toEqual([
      "the node is not running: blindference run",
      "no valid attestation certificate: blindference attest",
      `the wallet has 0 ETH: send some to ${own.address} for gas`,
      "not registered on chain: blindference attest --register",
      `send at least 1000 BLIND to ${own.address} to stake it`,
      "nothing is staked, or too little: blindference staking stake 1000",
    ]);

    await devnet.fund(own.address);
    expect((await runCli(["attest", "--register", "--json"], { env: own.env })).code).toBe(0);
    expect((await runCli(["staking", "stake", "1000.5", "--json"], { env: own.env })).code).toBe(0);
    const ready = await statusOf(own.env);
    expect(ready).toMatchObject({
      registered: true,
      balance: { blindWei: "8999500000000000000000" },
      stake: { stakedWei: "1000500000000000000000", active: true },
      reputation: { active: true, completed: 0 },
      toDo: ["the node is not running: blindference run"],
    });
    expect(Date.parse(ready.certificate.expiresAt!)).toBeGreaterThan(Date.now());
  });

  test("services that hang or answer nonsense are named after a second and a half; the rest is shown", async () => {
    using own = await node();
    await devnet.fund(own.address);
    using hanging = serveJson(() => new Promise<Response>(() => {}));
    using nonsense = serveJson(() => Response.json({ total_jobs: "many" }));
    const env = { ...own.env, BLF_ICL_ENDPOINT: hanging.url, BLF_PAYMENT_SERVICE_URL: nonsense.url };
    const status = await statusOf(env);
    expect(status.balance?.blindWei).toBe("10000000000000000000000");
    expect(status.unanswered.map(({ service, code }) => [service, code])).toEqual([
      ["coordinator", "ICL_TIMEOUT"],
      ["payment service", "PAYMENT_UNEXPECTED_ANSWER"],
    ]);
    const { stdout } = await runCli(["status"], { env });
    expect(stdout).toContain("did not answer within 1.5 s");
  });

  test("an RPC of another chain is not believed", async () => {
    using own = await node();
    const status = await statusOf({ ...own.env, BLF_COFHE_CHAIN_ID: "421614" });
    expect(status.stake).toBeNull();
    expect(status.unanswered).toMatchObject([{ service: "chain", code: "CHAIN_WRONG_ID" }]);
  });

  test("--offline asks nobody", async () => {
    using own = await node();
    let requests = 0;
    using server = serveJson(() => {
      requests++;
      return Response.json({});
    });
    const status = await statusOf(
      {
        ...own.env,
        BLF_ICL_ENDPOINT: server.url,
        BLF_PAYMENT_SERVICE_URL: server.url,
        BLF_RPC_URL: server.url,
        BLF_STATUS_PORT: String(server.port),
      },
      ["--offline"],
    );
    expect(status).toMatchObject({ live: false, stake: null, earnings: null, reputation: null, unanswered: [] });
    expect(requests).toBe(0);
  });

  test("earnings keep every digit", async () => {
    using own = await node();
    using payment = serveJson(
      () => new Response('{"total_jobs":3,"success":2,"failed":1,"total_earned_blind":12345.678901234567890123}'),
    );
    const env = { ...own.env, BLF_PAYMENT_SERVICE_URL: payment.url };
    expect((await statusOf(env)).earnings).toEqual({
      earnedWei: "12345678901234567890123",
      jobs: 3,
      succeeded: 2,
      failed: 1,
    });
    const { stdout } = await runCli(["status"], { env });
    expect(stdout).toMatch(/^earnings +12345\.678901234567890123 BLIND for 2 of 3 jobs$/m);
  });

  test("what a service says cannot move the cursor, and without a terminal there is no control character", async () => {
    using own = await node();
    using icl = serveJson(() => new Response("\u001b[2J", { status: 502 }));
    const { stdout } = await runCli(["status"], { env: { ...own.env, BLF_ICL_ENDPOINT: icl.url, FORCE_COLOR: "1" } });
    expect(stdout.replaceAll("\n", "")).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
    expect(stdout).toContain("The coordinator answered with HTTP 502");
  });

  test("--watch without a terminal, or as JSON, is an error of usage", async () => {
    using own = await node();
    for (const args of [["--watch"], ["--watch", "--json"]]) {
      const { code, stdout, stderr } = await runCli(["status", ...args], { env: own.env });
      expect(code).toBe(2);
      expect(stdout + stderr).toContain("USAGE_INVALID_OPTION");
    }
  });
});

describe("a node that runs", () => {
  test("reports live, in the text and on the watched screen, which Ctrl-C takes away again", async () => {
    using own = await node();
    await devnet.fund(own.address);
    expect((await runCli(["attest", "--register", "--json"], { env: own.env })).code).toBe(0);
    const daemon = await startDaemonProcess(own.env);
    try {
      const status = await statusOf(own.env);
      expect(status).toMatchObject({
        live: true,
        state: "ready",
        ready: true,
        problems: [],
        canLead: true,
        models: [
          {
            id: "mock-model",
            backend: "mock",
            health: { status: "healthy", detail: "" },
            determinismClass: "mock/sha256",
            determinismClassHash: new Bun.CryptoHasher("sha256").update("mock/sha256").digest("hex"),
          },
        ],
        inFlight: [],
        registered: true,
      });
      expect(Math.abs(Date.parse(status.heartbeats.coordinator!) - Date.now())).toBeLessThan(90_000);
      expect(status.toDo).toEqual(["nothing is staked, or too little: blindference staking stake 1000"]);

      await using terminal = runOnTerminal(["status", "--watch"], { env: own.env, columns: 80, rows: 24 });
      await terminal.see("running and ready");
      await terminal.see("Ctrl-C ends");
      terminal.type(interrupt);
      expect(await terminal.ended).toBe(0);
      expect(terminal.raw()).toEndWith("\u001b[?25h\u001b[?1049l");
      const lines = terminal.raw().split(/\r\n|\u001b\[H/);
      const widest = Math.max(...lines.map((line) => Bun.stringWidth(line)));
      expect(widest).toBeLessThanOrEqual(80);

      await using plain = runOnTerminal(["status"], { env: { ...own.env, NO_COLOR: "1" } });
      await plain.see("to do");
      expect(await plain.ended).toBe(0);
      expect(plain.raw().replaceAll("\r\n", "")).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
    } finally {
      expect((await daemon.stop()).code).toBe(0);
    }
    expect((await statusOf(own.env)).state).toBe("not running");
  });

  test("whose status server is off is seen by its lock", async () => {
    using own = await node();
    const env = { ...own.env, BLF_STATUS_PORT: "0" };
    const daemon = await startDaemonProcess(env);
    try {
      const status = await statusOf(env);
      expect(status).toMatchObject({ live: false, state: "unreported" });
      expect(status.toDo).toContain(
        "the daemon cannot be asked: set status_port (BLF_STATUS_PORT) as it was at its start",
      );
      expect(status.toDo.join()).not.toContain("blindference run");
    } finally {
      await daemon.stop();
    }
  });
});
