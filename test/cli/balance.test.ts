import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { outputs } from "../../src/cli/balance.ts";
import { type Devnet, startDevnet } from "../../src/devnet/devnet.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { captureLog } from "../helpers/capture-log.ts";
import { startRpcProxy } from "../helpers/rpc-proxy.ts";
import { jsonErrorText } from "./expect-error.ts";
import { address, nodeDirectory } from "./node-directory.ts";
import { runCli } from "./run-cli.ts";

setDefaultTimeout(60_000);

let devnet: Devnet;
beforeAll(async () => {
  devnet = await startDevnet({ portBase: 0, clock: systemClock, log: captureLog().log });
});
afterAll(() => devnet?.stop());

/** A chain where gas costs this much, in wei, and this account holds this much ether. */
async function chainWith(gasPrice: bigint, ether: bigint) {
  const proxy = await startRpcProxy(devnet.endpoints.rpc);
  proxy.rule("eth_gasPrice", () => ({ result: `0x${gasPrice.toString(16)}` }));
  proxy.rule("eth_getBalance", () => ({ result: `0x${ether.toString(16)}` }));
  return proxy;
}

test("the gas of a month is three heartbeats, and one wei less than that is a warning", async () => {
  using node = nodeDirectory();
  const gwei = 1_000_000_000n;
  const month = 3n * 60_000n * gwei;
  for (const missing of [0n, 1n]) {
    const proxy = await chainWith(gwei, month - missing);
    try {
      const env = { ...node.env, ...devnet.variables, BLF_RPC_URL: proxy.url };
      const { code, stdout } = await runCli(["balance", "--json"], { env });
      expect(code).toBe(0);
      const document = JSON.parse(stdout) as Record<string, unknown>;
      expect(outputs["balance"]!.safeParse(document).error).toBeUndefined();
      expect(document).toEqual({
        ok: true,
        address,
        blindWei: "0",
        ethWei: `${month - missing}`,
        gas: {
          priceWei: `${gwei}`,
          perHeartbeat: "60000",
          estimated: false,
          heartbeatsPerMonth: 3,
          monthWei: `${month}`,
        },
        enoughForAMonth: missing === 0n,
        warning:
          missing === 0n
            ? null
            : `gas for a month of heartbeats is missing: send at least 0.000000000000000001 ETH to ${address}`,
      });
      const text = await runCli(["balance"], { env });
      expect(text.stdout).toContain(
        "0.00018 ETH: 3 heartbeats of 60000 gas (assumed: the node is not registered) at 1 gwei\n",
      );
      expect(text.stdout.includes("warning")).toBe(missing > 0n);
    } finally {
      await proxy.stop();
    }
  }
});

test("rpc_fallback_urls are asked when rpc_url does not answer", async () => {
  using node = nodeDirectory();
  const rpc = devnet.endpoints.rpc;
  const urls = { BLF_RPC_URL: "http://127.0.0.1:1", BLF_RPC_FALLBACK_URLS: `http://127.0.0.1:2,${rpc}` };
  const env = { ...node.env, ...devnet.variables, ...urls };
  const { code, stdout } = await runCli(["balance", "--json"], { env });
  expect([code, (JSON.parse(stdout) as { address: string }).address]).toEqual([0, address]);
});

test("without a chain or a token it says what is missing", async () => {
  using node = nodeDirectory();
  expect(jsonErrorText(await runCli(["balance", "--json"], { env: node.env }))).toContain(
    "75 Cannot read the chain id",
  );
  using bare = nodeDirectory({ blind_token_address: "" });
  expect(jsonErrorText(await runCli(["balance", "--json"], { env: bare.env }))).toContain("[CONTRACT_NOT_CONFIGURED]");
});
