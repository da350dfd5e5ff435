import { expect, setDefaultTimeout, test } from "bun:test";
import { fileURLToPath } from "node:url";
import { createWalletClient, http, keccak256, parseEther, toHex } from "viem";
import { hardhat } from "viem/chains";
import { rewardAccumulatorAbi } from "../../src/chain/abi/reward-accumulator.ts";
import { outputs } from "../../src/cli/rewards.ts";
import { outputs as withdrawOutputs } from "../../src/cli/withdraw.ts";
import { devnetAccounts } from "../../src/devnet/accounts.ts";
import { until } from "../helpers/until.ts";
import { useChainWorld } from "./chain-command.ts";
import { errorText, jsonErrorText } from "./expect-error.ts";
import { runCli } from "./run-cli.ts";

setDefaultTimeout(120_000);

const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const day = 86_400;
const world = useChainWorld();

const today = () => BigInt(Math.floor(Date.now() / 1000 / day));

/** Credits the node as the coordinator would. */
async function accrue(cycle: bigint, amount: bigint, role = 0): Promise<void> {
  const transport = http(world.devnet.endpoints.rpc);
  const wallet = createWalletClient({ account: devnetAccounts().icl, chain: hardhat, transport });
  const hash = await wallet.writeContract({
    address: world.devnet.addresses.rewardAccumulator,
    abi: rewardAccumulatorAbi,
    functionName: "accrue",
    args: [world.address, cycle, 1n, role, amount, keccak256(toHex("job"))],
  });
  await world.chain.client.waitForTransactionReceipt({ hash });
}

async function json(args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await runCli([...args, "--json"], { env: world.env });
  expect([code, stderr]).toEqual([0, ""]);
  const document = JSON.parse(stdout) as Record<string, unknown>;
  const schema = args[0] === "withdraw" ? withdrawOutputs.withdraw : outputs[`rewards ${args[1]}`]!;
  expect(schema.safeParse(document).error).toBeUndefined();
  return document;
}

test("what is over is claimed, what runs is explained, and nothing is claimed twice", async () => {
  const cycle = today();
  await accrue(cycle - 2n, parseEther("0.2"), 1);
  await accrue(cycle - 1n, parseEther("0.6"));
  await accrue(cycle, parseEther("5"));
  const status = await runCli(["rewards", "status"], { env: world.env });
  expect(status.stdout).toBe(
    [
      `node       ${world.address}`,
      "pending    5.8 BLIND",
      "claimable  0.8 BLIND: blindference rewards claim",
      "",
      "CYCLE  STATE    BLIND  JOBS LED/VERIFIED  CLAIM",
      `${cycle}  pending  5      1/0                not yet: the cycle has not ended yet`,
      `${cycle - 1n}  pending  0.6    1/0                now`,
      `${cycle - 2n}  pending  0.2    0/1                now`,
      "",
    ].join("\n"),
  );
  const claimed = await json(["withdraw"]);
  expect(claimed).toMatchObject({
    claimedWei: `${parseEther("0.8")}`,
    claimed: [{ cycle: `${cycle - 1n}` }, { cycle: `${cycle - 2n}` }],
    blocked: [{ cycle: `${cycle}`, gate: "CycleNotEnded", pendingWei: `${parseEther("5")}` }],
    fromBlock: "0",
    complete: true,
  });
  expect(await json(["rewards", "status"])).toMatchObject({
    pendingWei: `${parseEther("5")}`,
    claimableWei: "0",
    cycles: [{ state: "pending" }, { state: "released", accruedWei: `${parseEther("0.6")}` }, { state: "released" }],
  });
  expect(await world.chain.client.getTransactionCount({ address: world.address })).toBe(2);
  expect(errorText(await runCli(["rewards", "claim"], { env: world.env }))).toContain("75 Nothing can be claimed now");
});

test("kill -9 after the claim was sent: the same command reports it", async () => {
  const cycle = today() - 1n;
  await accrue(cycle, 123n);
  world.proxy.rule("eth_getTransactionReceipt", () => ({ result: null }));
  const child = Bun.spawn([process.execPath, main, "rewards", "claim"], {
    env: { ...world.env, HOME: world.node.dir, PATH: "/usr/bin:/bin" },
    stdout: "ignore",
    stderr: "ignore",
  });
  await until(
    "it is mined",
    async () => (await world.chain.client.getTransactionCount({ address: world.address })) === 1,
    {
      timeoutMs: 60_000,
    },
  );
  child.kill("SIGKILL");
  await child.exited;
  world.proxy.rule("eth_getTransactionReceipt", undefined);
  expect(await json(["rewards", "claim"])).toMatchObject({
    claimedWei: "123",
    claimed: [{ cycle: `${cycle}`, amountWei: "123", resumed: true }],
  });
  expect(await json(["rewards", "claim"])).toMatchObject({ claimedWei: "0", claimed: [] });
  expect(await world.chain.client.getTransactionCount({ address: world.address })).toBe(1);
});

test("an RPC that serves almost no blocks: the search says where it ended, and a known cycle can be claimed", async () => {
  const cycle = today() - 1n;
  await accrue(cycle, 77n);
  await world.chain.client.request({ method: "anvil_mine", params: ["0x3e8"] } as unknown as { method: "eth_chainId" });
  await world.chain.client.request({ method: "anvil_mine", params: ["0x3e8"] } as unknown as { method: "eth_chainId" });
  await world.chain.client.request({ method: "anvil_mine", params: ["0x3e8"] } as unknown as { method: "eth_chainId" });
  world.proxy.rule("eth_getLogs", (call, forward) => {
    const [{ fromBlock, toBlock }] = call.params as [{ fromBlock: string; toBlock: string }];
    if (Number(toBlock) - Number(fromBlock) >= 12)
      return { error: { code: -32_005, message: "query exceeds max block range" } };
    return forward();
  });
  const status = await runCli(["rewards", "status"], { env: world.env });
  expect(status.stdout).toMatch(/The RPC serves few blocks at a time: nothing before block \d+ was searched\./);
  expect(await json(["rewards", "status"])).toMatchObject({ complete: false, cycles: [] });
  expect(await json(["rewards", "claim", "--cycle", `${cycle}`])).toMatchObject({ claimedWei: "77", fromBlock: null });
});

test("what cannot be a number, or is not configured", async () => {
  const lines = [
    jsonErrorText(await runCli(["rewards", "claim", "--cycle", "1e3", "--json"], { env: world.env })),
    jsonErrorText(await runCli(["rewards", "status", "--from-block", "-1", "--json"], { env: world.env })),
    jsonErrorText(await runCli(["jobs", "claim", "--cycle", "x", "--json"], { env: world.env })),
    jsonErrorText(
      await runCli(["rewards", "status", "--json"], { env: { ...world.node.unlocked, BLF_NETWORK: "devnet" } }),
    ),
  ];
  expect(lines).toMatchInlineSnapshot(`
    [
      "2 --cycle must be a whole number [USAGE_INVALID_OPTION] | \`blindference rewards status\` shows the numbers of the cycles.",
      "2 --from-block must be a whole number [USAGE_INVALID_OPTION] | \`blindference rewards status\` shows the numbers of the cycles.",
      "2 --cycle must be a whole number [USAGE_INVALID_OPTION] | \`blindference rewards status\` shows the numbers of the cycles.",
      "1 The address reward_accumulator_address is not configured [CONTRACT_NOT_CONFIGURED] | Set reward_accumulator_address in config.json or BLF_REWARD_ACCUMULATOR_ADDRESS.",
    ]
  `);
});
