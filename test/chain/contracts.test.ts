import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { type Address, type Hex, parseAbiItem, parseEther } from "viem";
import type { PrivateKeyAccount } from "viem/accounts";
import { blindAbi } from "../../src/chain/abi/blind.ts";
import { nodeRegistryAbi } from "../../src/chain/abi/node-registry.ts";
import { contractCall } from "../../src/chain/contract-call.ts";
import { isRegistered, registerNode, sendOnChainHeartbeat } from "../../src/chain/node-registry.ts";
import { readKeyHandles, storeKey } from "../../src/chain/prompt-key-store.ts";
import type { Sender } from "../../src/chain/sender.ts";
import { readStake, stake } from "../../src/chain/staking.ts";
import { createCofhe } from "../../src/cofhe/client.ts";
import type { EncryptedKey } from "../../src/cofhe/cofhe.ts";
import { outputKeyJobId } from "../../src/crypto/commitment.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { expectCode } from "../crypto/expect-code.ts";
import { captureLog } from "../helpers/capture-log.ts";
import { type ChainNetwork, startChainNetwork } from "../helpers/chain-network.ts";

let network: ChainNetwork;
let account: PrivateKeyAccount;
let sender: Sender;
const transactionCount = () => network.chain.client.getTransactionCount({ address: account.address });

beforeAll(async () => {
  network = await startChainNetwork();
});
afterAll(() => network.stop());
beforeEach(async () => {
  account = await network.account(parseEther("1"), parseEther("5000"));
  sender = network.sender(account);
});

describe("staking", () => {
  const status = () => readStake(network.chain, network.addresses, account.address);

  test("a node without a stake", async () => {
    expect(await status()).toEqual({
      staked: 0n,
      unbonding: 0n,
      unbondingAvailableAt: 0,
      consecutiveFailures: 0,
      maxConsecutiveFailures: 3,
      minStake: parseEther("1000"),
      active: false,
      balance: parseEther("5000"),
      allowance: 0n,
    });
  });

  test("approves exactly the amount, and stakes it", async () => {
    const amount = parseEther("1500");
    const { approveTx, stakeTx } = await stake(sender, network.addresses, await status(), amount, "first");
    expect(approveTx).toMatch(/^0x[0-9a-f]{64}$/);
    expect(stakeTx).toMatch(/^0x[0-9a-f]{64}$/);
    expect(await status()).toMatchObject({
      staked: amount,
      active: true,
      balance: parseEther("3500"),
      allowance: 0n,
    });
  });

  test("what is approved already is not approved again, and one command stakes once", async () => {
    const { blind, staking } = network.addresses;
    const amount = parseEther("1000");
    const call = contractCall({ address: blind, abi: blindAbi, functionName: "approve", args: [staking, amount] });
    await sender.send({ purpose: "earlier", action: "approve", call });
    const before = await status();
    const { approveTx, stakeTx } = await stake(sender, network.addresses, before, amount, "id");
    expect(approveTx).toBeUndefined();
    expect((await stake(sender, network.addresses, before, amount, "id")).stakeTx).toBe(stakeTx);
    expect((await status()).staked).toBe(amount);
    expect(await transactionCount()).toBe(2);
  });

  test("less than the minimum or more than the wallet holds is refused before anything is sent", async () => {
    const now = await status();
    const low = await expectCode(
      () => stake(sender, network.addresses, now, parseEther("999.5"), "x"),
      "STAKE_BELOW_MINIMUM",
    );
    expect(low.message).toContain("999.5 BLIND");
    await expectCode(() => stake(sender, network.addresses, now, parseEther("5000") + 1n, "x"), "STAKE_ABOVE_BALANCE");
    expect(await transactionCount()).toBe(0);
  });
});

describe("the node registry", () => {
  const node = () =>
    network.chain.client.readContract({
      address: network.addresses.nodeRegistry,
      abi: nodeRegistryAbi,
      functionName: "getNode",
      args: [account.address],
    });

  test("registers once, the certificate's 16 bytes padded on the right", async () => {
    const registry = network.addresses.nodeRegistry;
    expect(await isRegistered(network.chain, registry, account.address)).toBe(false);
    const certHash: Hex = `0x${"ab".repeat(16)}`;
    const registration = { tier: 1, certHash, expiresAt: 1_900_000_000, models: ["a/b", "mock-model"] };
    const tx = await registerNode(sender, registry, registration);
    expect(await isRegistered(network.chain, registry, account.address)).toBe(true);
    expect(await node()).toMatchObject({
      operator: account.address,
      tier: 1,
      attestationHash: `0x${"ab".repeat(16)}${"00".repeat(16)}`,
      attestationExpires: 1_900_000_000n,
      models: ["a/b", "mock-model"],
      active: true,
    });
    expect(await registerNode(sender, registry, registration)).toBe(tx);
    expect(await transactionCount()).toBe(1);
  });

  test("a heartbeat is sent once a day, and refused for a node that is not registered", async () => {
    const registry = network.addresses.nodeRegistry;
    await expectCode(() => sendOnChainHeartbeat(sender, registry, 1), "CHAIN_REVERTED");
    await registerNode(sender, registry, { tier: 0, certHash: "0x01", expiresAt: 1, models: [] });
    const first = await sendOnChainHeartbeat(sender, registry, 20_000);
    expect(await sendOnChainHeartbeat(sender, registry, 20_000)).toBe(first);
    expect(await sendOnChainHeartbeat(sender, registry, 20_010)).not.toBe(first);
    expect(await transactionCount()).toBe(3);
  });
});

describe("the key store", () => {
  const stored = parseAbiItem(
    "event KeyStored(bytes32 indexed jobId, address indexed submitter, uint256 highHandle, uint256 lowHandle, address[] allowedNodes)",
  );

  test("keeps a key for its readers alone, once per job", async () => {
    const store = network.addresses.promptKeyStore;
    const jobId = outputKeyJobId("0x1111");
    expect(await readKeyHandles(network.chain, store, jobId)).toEqual({ high: 0n, low: 0n });
    const [key] = await encrypt(account, 1);
    const allowed: Address[] = [(await network.account()).address];
    const tx = await storeKey(sender, { store, jobId, key: key!, allowed });
    expect(await storeKey(sender, { store, jobId, key: key!, allowed })).toBe(tx);
    const handles = await readKeyHandles(network.chain, store, jobId);
    expect(handles.high).toBeGreaterThan(0n);
    const logs = await network.chain.client.getLogs({ address: store, event: stored, args: { jobId }, fromBlock: 0n });
    expect(logs.map(({ args }) => args)).toEqual([
      { jobId, submitter: account.address, highHandle: handles.high, lowHandle: handles.low, allowedNodes: allowed },
    ]);
  });

  test("a key that another wallet encrypted is refused", async () => {
    const [key] = await encrypt(await network.account(), 1);
    const parameters = {
      store: network.addresses.promptKeyStore,
      jobId: outputKeyJobId("0x2222"),
      key: key!,
      allowed: [],
    };
    await expectCode(() => storeKey(sender, parameters), "CHAIN_REVERTED");
    expect(await transactionCount()).toBe(0);
  });

  test("what is no contract is an error, not a key", async () => {
    await expectCode(() => readKeyHandles(network.chain, account.address, outputKeyJobId("0x3333")), "CHAIN_REFUSED");
  });
});

async function encrypt(by: PrivateKeyAccount, count: number): Promise<EncryptedKey[]> {
  const { log } = captureLog();
  const cofhe = createCofhe({ account: by, rpcUrl: network.url, chainId: 31_337, clock: systemClock, log });
  try {
    const keys = Array.from({ length: count }, (_, index) => ({ high: BigInt(index), low: 2n ** 128n - 1n }));
    return await cofhe.encryptKeys(keys, AbortSignal.timeout(20_000));
  } finally {
    await cofhe.close();
  }
}
