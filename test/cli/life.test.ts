import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Hex, keccak256, parseEther, toHex } from "viem";
import { generatePrivateKey, type PrivateKeyAccount, privateKeyToAccount } from "viem/accounts";
import { blindAbi } from "../../src/chain/abi/blind.ts";
import { faucetAbi } from "../../src/chain/abi/faucet.ts";
import { nodeRegistryAbi } from "../../src/chain/abi/node-registry.ts";
import { rewardAccumulatorAbi } from "../../src/chain/abi/reward-accumulator.ts";
import { createChain } from "../../src/chain/clients.ts";
import { createSender } from "../../src/chain/sender.ts";
import { createMemoryTransactionStore } from "../../src/chain/transaction-store.ts";
import { outputs as balanceOutputs } from "../../src/cli/balance.ts";
import { outputs as rewardsOutputs } from "../../src/cli/rewards.ts";
import { outputs as stakingOutputs } from "../../src/cli/staking.ts";
import { systemRandom } from "../../src/crypto/random.ts";
import { fundAccounts } from "../../src/devnet/contracts/fund.ts";
import { createCoordinatorChain } from "../../src/devnet/coordinator/chain.ts";
import { createCoordinator } from "../../src/devnet/coordinator/coordinator.ts";
import { listen } from "../../src/devnet/listen.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { Secret } from "../../src/lib/secret.ts";
import { encryptKeystore } from "../../src/wallet/keystore.ts";
import { chainKinds, type Network, startNetwork } from "../devnet/contracts/network.ts";
import { captureLog } from "../helpers/capture-log.ts";
import { jsonErrorText } from "./expect-error.ts";
import { password } from "./node-directory.ts";
import { runCli } from "./run-cli.ts";

setDefaultTimeout(180_000);

const anvil = chainKinds.find(({ name }) => name === "anvil")!;
const outputs = { ...balanceOutputs, ...stakingOutputs, ...rewardsOutputs };

describe.skipIf(!anvil.available)("a node's whole life on anvil", () => {
  let network: Network;
  let env: Record<string, string>;
  let account: PrivateKeyAccount;
  let privateKey: Hex;
  let dir: string;
  const stops: (() => void | Promise<void>)[] = [];
  /** Everything that the node's account sent. */
  const transactions: Hex[] = [];

  beforeAll(async () => {
    network = await startNetwork(anvil);
    stops.push(network.stop);
    dir = mkdtempSync(join(tmpdir(), "blf-life-"));
    stops.push(() => rmSync(dir, { recursive: true, force: true }));
    privateKey = generatePrivateKey();
    account = privateKeyToAccount(privateKey);
    const coordinator = listen(0, openCoordinator(network).icl);
    stops.push(coordinator.stop);
    const { addresses } = network;
    env = {
      BLF_CONFIG_DIR: join(dir, "node"),
      BLF_KEY_PASSWORD: password,
      BLF_NETWORK: "devnet",
      BLF_RPC_URL: network.url,
      BLF_ICL_ENDPOINT: coordinator.url,
      BLF_BLIND_TOKEN_ADDRESS: addresses.blind,
      BLF_STAKING_ADDRESS: addresses.staking,
      BLF_NODE_REGISTRY_ADDRESS: addresses.nodeRegistry,
      BLF_REWARD_ACCUMULATOR_ADDRESS: addresses.rewardAccumulator,
    };
  });
  afterAll(async () => {
    for (const stop of stops.splice(0).reverse()) await stop();
  });

  /** The checked document of a command that succeeds. */
  async function run(args: string[], more: Record<string, string> = {}): Promise<Record<string, unknown>> {
    const { code, stdout, stderr } = await runCli([...args, "--json"], { env: { ...env, ...more } });
    expect([code, stderr]).toEqual([0, ""]);
    const document = JSON.parse(stdout) as Record<string, unknown>;
    const schema = outputs[args.slice(0, 2).join(" ")] ?? outputs[args[0]!];
    if (schema) expect(schema.safeParse(document).error).toBeUndefined();
    for (const key of ["approveTx", "tx"]) if (document[key]) transactions.push(document[key] as Hex);
    return document;
  }

  /** What a command that fails says; it must not have sent anything. */
  async function refusal(args: string[]): Promise<string> {
    const before = await network.client.getTransactionCount({ address: account.address });
    const text = jsonErrorText(await runCli([...args, "--json"], { env }));
    expect(await network.client.getTransactionCount({ address: account.address })).toBe(before);
    return text;
  }

  const blindOf = () =>
    network.client.readContract({
      address: network.addresses.blind,
      abi: blindAbi,
      functionName: "balanceOf",
      args: [account.address],
    });

  test("init with a key of one's own", async () => {
    const document = await run(["init", "--import", "--non-interactive", "--network", "devnet", "--no-probe"], {
      BLF_PRIVATE_KEY: privateKey,
    });
    expect(document["address"]).toBe(account.address);
  });

  test("without ether the balance warns; the faucet gives BLIND", async () => {
    const poor = await run(["balance"]);
    expect(poor).toMatchObject({ blindWei: "0", ethWei: "0", enoughForAMonth: false });
    expect(poor["warning"]).toContain("gas for a month of heartbeats is missing");
    const { blind, faucet } = network.addresses;
    await fundAccounts({
      rpcUrl: network.url,
      funder: network.accounts.funder,
      blind,
      recipients: [account.address],
      etherAmount: parseEther("1"),
      blindAmount: 0n,
    });
    const drip = { address: faucet, abi: faucetAbi, functionName: "drip" } as const;
    transactions.push((await network.mined(network.wallet(account).writeContract(drip))).transactionHash);
    expect(await run(["balance"])).toMatchObject({
      blindWei: parseEther("2000").toString(),
      enoughForAMonth: true,
      warning: null,
    });
  });

  test("attest and register", async () => {
    const document = await run(["attest", "--mock", "--register", "--yes"]);
    const registration = document["registration"] as { tx: Hex };
    transactions.push(registration.tx);
    const registered = await network.client.readContract({
      address: network.addresses.nodeRegistry,
      abi: nodeRegistryAbi,
      functionName: "isActive",
      args: [account.address],
    });
    expect(registered).toBe(true);
    const { gas } = (await run(["balance"])) as { gas: Record<string, unknown> };
    expect(gas).toMatchObject({ estimated: true, heartbeatsPerMonth: 3 });
    expect(BigInt(gas["monthWei"] as string)).toBe(
      3n * BigInt(gas["perHeartbeat"] as string) * BigInt(gas["priceWei"] as string),
    );
    // What comes now is not about the keystore: it need not take scrypt's second each time.
    const quick = await encryptKeystore(new Secret(privateKey), new Secret(password), { scryptN: 2 });
    writeFileSync(join(dir, "node", "keystore.json"), quick);
  });

  test("stake: what cannot be is refused first; then 1000 BLIND are staked", async () => {
    expect(await refusal(["staking", "stake", "999.999"])).toMatchInlineSnapshot(
      `"1 A stake of 999.999 BLIND is below the minimum of 1000 per call [STAKE_BELOW_MINIMUM] | Stake at least 1000 BLIND at once; it counts per call, not in sum."`,
    );
    expect(await refusal(["staking", "stake", "2000.000000000000000001"])).toMatchInlineSnapshot(
      `"1 The wallet holds 2000 BLIND, less than 2000.000000000000000001 [STAKE_ABOVE_BALANCE] | Send BLIND to the node's address first, or stake less."`,
    );
    expect(await refusal(["staking", "unstake"])).toContain("STAKE_NOTHING_STAKED");
    expect(await refusal(["staking", "withdraw"])).toContain("STAKE_NOTHING_STAKED");
    const staked = await run(["staking", "stake", "1000"]);
    expect(staked).toMatchObject({
      amountWei: parseEther("1000").toString(),
      stakedWei: parseEther("1000").toString(),
      balanceWei: parseEther("1000").toString(),
      active: true,
      resumed: false,
      link: null,
    });
    expect(await blindOf()).toBe(parseEther("1000"));
    expect(await run(["staking", "status"])).toMatchObject({
      address: account.address,
      stakedWei: parseEther("1000").toString(),
      unbondingWei: "0",
      withdrawableAt: null,
      active: true,
      failuresUntilSlash: 3,
    });
  });

  test("unstake, wait for 96 hours, withdraw", async () => {
    expect(await refusal(["staking", "withdraw"])).toContain("STAKE_NOT_UNBONDING");
    const begun = await run(["staking", "unstake"]);
    expect(begun).toMatchObject({ stakedWei: "0", unbondingWei: parseEther("1000").toString(), active: false });
    expect(begun["secondsLeft"]).toBeWithin(96 * 3600 - 60, 96 * 3600 + 1);
    expect(await refusal(["staking", "unstake"])).toContain("STAKE_ALREADY_UNBONDING");
    expect(await refusal(["staking", "withdraw"])).toMatch(
      /^1 The 1000 BLIND are free in (4 d|3 d 23 h), at .* \[STAKE_STILL_UNBONDING\]/,
    );
    await network.advance(96 * 3600 - 120);
    expect(await refusal(["staking", "withdraw"])).toContain("STAKE_STILL_UNBONDING");
    await network.advance(120);
    expect(await run(["staking", "status"])).toMatchObject({ secondsLeft: 0 });
    const done = await run(["staking", "withdraw"]);
    expect(done).toMatchObject({ stakedWei: "0", unbondingWei: "0", balanceWei: parseEther("2000").toString() });
    expect(await blindOf()).toBe(parseEther("2000"));
  });

  test("rewards: too early, then claimed", async () => {
    const { timestamp } = await network.client.getBlock();
    const cycle = timestamp / 86_400n;
    const amount = parseEther("0.6") + 1n;
    const accumulator = { address: network.addresses.rewardAccumulator, abi: rewardAccumulatorAbi } as const;
    const args = [account.address, cycle, 1n, 0, amount, keccak256(toHex("job"))] as const;
    const accruer = network.wallet(network.accounts.icl);
    await network.mined(accruer.writeContract({ ...accumulator, functionName: "accrue", args }));

    expect(await refusal(["rewards", "claim"])).toBe(
      `75 Nothing can be claimed now: cycle ${cycle}: the cycle has not ended yet [REWARDS_CYCLE_NOT_ENDED] | Run the same command after the end of the cycle. Nothing was sent and no gas was spent.`,
    );
    expect(await run(["rewards", "status"])).toMatchObject({
      pendingWei: `${amount}`,
      claimableWei: "0",
      complete: true,
      cycles: [{ cycle: `${cycle}`, state: "pending", gate: "CycleNotEnded", reason: "the cycle has not ended yet" }],
    });
    await network.advance(86_400);
    const document = await run(["rewards", "claim"]);
    expect(document).toMatchObject({
      claimedWei: `${amount}`,
      claimed: [{ cycle: `${cycle}`, amountWei: `${amount}`, resumed: false }],
      blocked: [],
    });
    transactions.push(...(document["claimed"] as { tx: Hex }[]).map(({ tx }) => tx));
    expect(await blindOf()).toBe(parseEther("2000") + amount);
    for (const args of [["withdraw"], ["jobs", "claim"]])
      expect(await run(args)).toMatchObject({ claimedWei: "0", claimed: [] });
    expect(await refusal(["rewards", "claim", "--cycle", `${cycle}`])).toContain("REWARDS_ALREADY_RELEASED");
    expect(await refusal(["rewards", "claim", "--cycle", "5"])).toContain("REWARDS_NO_PENDING_ITEMS");
  });

  test("the ether that is left is what the transactions did not cost, to the wei", async () => {
    const receipts = await Promise.all(transactions.map((hash) => network.client.getTransactionReceipt({ hash })));
    const cost = receipts.reduce((sum, { gasUsed, effectiveGasPrice }) => sum + gasUsed * effectiveGasPrice, 0n);
    expect(await network.client.getBalance({ address: account.address })).toBe(parseEther("1") - cost);
    expect(await network.client.getTransactionCount({ address: account.address })).toBe(transactions.length);
    expect(transactions).toHaveLength(7);
  });
});

function openCoordinator(network: Network) {
  const chain = createChain({ rpcUrl: network.url, chainId: 31_337 });
  const { icl } = network.accounts;
  const common = { clock: systemClock, log: captureLog().log };
  const store = createMemoryTransactionStore();
  return createCoordinator({
    ...common,
    chain: createCoordinatorChain({
      chain,
      sender: createSender({ ...common, chain, account: icl as PrivateKeyAccount, store, maxFeePerGas: 10n ** 10n }),
      account: icl.address,
      contracts: network.addresses,
    }),
    blobs: { put: () => Promise.reject(new Error("no blobs here")) },
    random: systemRandom,
    serviceSecret: "secret",
  });
}
