import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  createCofheClientBase,
  createCofheConfigBase,
  Encryptable,
  MOCKS_ZK_VERIFIER_SIGNER_ADDRESS,
} from "@cofhe/sdk";
import { hardhat as cofheHardhat } from "@cofhe/sdk/chains";
import { createWalletClient, type Hex, http, type LocalAccount, parseEther, parseGwei, zeroHash } from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { hardhat } from "viem/chains";
import { blindAbi } from "../../../src/chain/abi/blind.ts";
import { nodeRegistryAbi } from "../../../src/chain/abi/node-registry.ts";
import { promptKeyStoreAbi } from "../../../src/chain/abi/prompt-key-store.ts";
import { stakingAbi } from "../../../src/chain/abi/staking.ts";
import { createChain } from "../../../src/chain/clients.ts";
import { createSender } from "../../../src/chain/sender.ts";
import { createMemoryTransactionStore } from "../../../src/chain/transaction-store.ts";
import { fundAccounts } from "../../../src/devnet/contracts/fund.ts";
import { createCoordinatorChain } from "../../../src/devnet/coordinator/chain.ts";
import type { CoordinatorChain } from "../../../src/devnet/coordinator/coordinator-chain.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { BlfError } from "../../../src/lib/errors.ts";
import { createLogger } from "../../../src/lib/log.ts";
import { chainKinds, type Network, startNetwork } from "../contracts/network.ts";

let network: Network;
let chain: CoordinatorChain;

beforeAll(async () => {
  network = await startNetwork(chainKinds.find(({ name }) => name === "our EVM")!);
  const { icl, funder } = network.accounts;
  const { blind } = network.addresses;
  const money = { etherAmount: parseEther("1"), blindAmount: parseEther("100") };
  await fundAccounts({ rpcUrl: network.url, funder, blind, recipients: [icl.address], ...money });
  const client = createChain({ rpcUrl: network.url, chainId: 31_337 });
  const sender = createSender({
    chain: client,
    account: icl,
    store: createMemoryTransactionStore(),
    clock: systemClock,
    log: createLogger({ level: "error", format: "json", clock: systemClock, write: () => {} }),
    maxFeePerGas: parseGwei("10"),
  });
  chain = createCoordinatorChain({ chain: client, sender, account: icl.address, contracts: network.addresses });
});
afterAll(() => network?.stop());

const balanceOf = (account: Hex) =>
  network.client.readContract({
    address: network.addresses.blind,
    abi: blindAbi,
    functionName: "balanceOf",
    args: [account],
  });

/** A node with 1000 BLIND at stake. */
async function stakedNode(): Promise<LocalAccount> {
  const node = await network.freshAccount(parseEther("1000"));
  const { blind, staking } = network.addresses;
  const wallet = network.wallet(node);
  const amount = parseEther("1000");
  await network.mined(
    wallet.writeContract({ address: blind, abi: blindAbi, functionName: "approve", args: [staking, amount] }),
  );
  await network.mined(
    wallet.writeContract({ address: staking, abi: stakingAbi, functionName: "stake", args: [amount] }),
  );
  return node;
}

async function encryptedHalves(account: LocalAccount) {
  const unused = () => {
    throw new Error("the local path needs no TFHE");
  };
  const client = createCofheClientBase({
    config: createCofheConfigBase({
      environment: "node",
      supportedChains: [cofheHardhat],
      fheKeyStorage: null,
      mocks: { encryptDelay: 0 },
      _internal: {
        zkvWalletClient: createWalletClient({
          chain: hardhat,
          transport: http(network.url),
          account: MOCKS_ZK_VERIFIER_SIGNER_ADDRESS,
        }),
      },
    }),
    zkBuilderAndCrsGenerator: unused,
    tfhePublicKeyDeserializer: unused,
    compactPkeCrsDeserializer: unused,
    initTfhe: async () => false,
  });
  await client.connect(network.client, network.wallet(account));
  const [high, low] = await client.encryptInputs([Encryptable.uint128(1n), Encryptable.uint128(2n)]).execute();
  return [
    { ...high, signature: high.signature as Hex },
    { ...low, signature: low.signature as Hex },
  ] as const;
}

test("stake and registration are what the contracts say", async () => {
  const nobody = privateKeyToAccount(generatePrivateKey()).address;
  expect(await chain.getStake(nobody)).toEqual({ staked: 0n, consecutiveFailures: 0, active: false });
  expect(await chain.isRegistered(nobody)).toBe(false);
  const node = await stakedNode();
  expect(await chain.getStake(node.address)).toEqual({
    staked: parseEther("1000"),
    consecutiveFailures: 0,
    active: true,
  });
  const expiry = BigInt(Math.floor(Date.now() / 1000) + 86_400);
  await network.mined(
    network.wallet(node).writeContract({
      address: network.addresses.nodeRegistry,
      abi: nodeRegistryAbi,
      functionName: "register",
      args: [0, `0x${"5b".repeat(32)}`, expiry, ["tiny-noise"]],
    }),
  );
  expect(await chain.isRegistered(node.address)).toBe(true);
});

test("failures are counted and reset, each purpose once", async () => {
  const node = (await stakedNode()).address;
  const failures = async () => (await chain.getStake(node)).consecutiveFailures;
  const first = await chain.recordFailure({ purpose: "failure:1", node });
  expect(await chain.recordFailure({ purpose: "failure:1", node })).toBe(first);
  expect(await failures()).toBe(1);
  await chain.recordFailure({ purpose: "failure:2", node });
  expect(await failures()).toBe(2);
  await chain.resetFailures({ purpose: "reset:1", node });
  expect(await failures()).toBe(0);
});

test("rewards that are sent at the same moment all arrive, and none twice", async () => {
  const nodes = Array.from({ length: 4 }, () => privateKeyToAccount(generatePrivateKey()).address);
  const pay = (to: Hex, index: number) =>
    chain.payReward({ purpose: `reward:${to}`, to, amount: BigInt(index + 1) * 10n ** 17n });
  const hashes = await Promise.all(nodes.map(pay));
  expect(new Set(hashes).size).toBe(4);
  expect(await Promise.all(nodes.map(pay))).toEqual(hashes);
  expect(await Promise.all(nodes.map(balanceOf))).toEqual([1n, 2n, 3n, 4n].map((tenths) => tenths * 10n ** 17n));
  const more = chain.payReward({ purpose: "reward:too-much", to: nodes[0]!, amount: parseEther("1000000000") });
  expect(await more.catch((error: BlfError) => [error.code, error.retryable])).toEqual(["CHAIN_REVERTED", false]);
});

test("transfers are read from the receipt of a transaction that succeeded", async () => {
  const user = await network.freshAccount(parseEther("5"));
  const { blind } = network.addresses;
  const transfer = { address: blind, abi: blindAbi, functionName: "transfer" } as const;
  const wallet = network.wallet(user);
  const receipt = await network.mined(wallet.writeContract({ ...transfer, args: [chain.treasury, 3n] }));
  expect(await chain.getTransfers(receipt.transactionHash)).toEqual([
    { from: user.address, to: chain.treasury, value: 3n },
  ]);
  expect(await chain.getTransfers(zeroHash)).toEqual([]);
  const failed = await wallet.writeContract({ ...transfer, args: [chain.treasury, parseEther("6")], gas: 100_000n });
  expect((await network.client.waitForTransactionReceipt({ hash: failed })).status).toBe("reverted");
  expect(await chain.getTransfers(failed)).toEqual([]);
});

test("a stored key is read with its submitter, handles and nodes; further nodes can be let in", async () => {
  const user = await network.freshAccount();
  const nodes = Array.from({ length: 3 }, () => privateKeyToAccount(generatePrivateKey()).address);
  const jobId: Hex = `0x${"1a".repeat(32)}`;
  const store = { address: network.addresses.promptKeyStore, abi: promptKeyStoreAbi } as const;
  expect(await chain.getKeySubmitter(jobId)).toBeUndefined();
  const args = [jobId, ...(await encryptedHalves(user)), nodes.slice(0, 2)] as const;
  const receipt = await network.mined(network.wallet(user).writeContract({ ...store, functionName: "storeKey", args }));
  const [high, low] = await network.client.readContract({ ...store, functionName: "getEncryptedKey", args: [jobId] });
  expect(high).toBeGreaterThan(0n);
  expect(await chain.getStoredKeys(receipt.transactionHash)).toEqual([
    { jobId, submitter: user.address, high, low, allowedNodes: nodes.slice(0, 2) },
  ]);
  expect(await chain.getStoredKeys(zeroHash)).toEqual([]);
  expect(await chain.getTransfers(receipt.transactionHash)).toEqual([]);
  expect(await chain.getKeySubmitter(jobId)).toBe(user.address);

  await chain.grantDecryptAccess({ purpose: "grant:1", jobId, node: nodes[2]! });
  const granted = await network.client.getContractEvents({
    ...store,
    eventName: "DecryptAccessGranted",
    fromBlock: 0n,
  });
  expect(granted.map(({ args: event }) => [event.jobId, event.node])).toEqual([[jobId, nodes[2]!]]);
  const unknown = chain.grantDecryptAccess({ purpose: "grant:2", jobId: `0x${"2b".repeat(32)}`, node: nodes[2]! });
  expect(await unknown.catch((error: BlfError) => [error.code, error.retryable])).toEqual(["CHAIN_REVERTED", false]);
});

test("a chain that is away is said to be so, and worth another try", async () => {
  const away = createChain({ rpcUrl: "http://127.0.0.1:1", chainId: 31_337 });
  const lost = createCoordinatorChain({
    chain: away,
    sender: { send: () => Promise.reject(new Error("not used")) },
    account: chain.treasury,
    contracts: network.addresses,
  });
  expect(await chain.isConnected()).toBe(true);
  expect(await lost.isConnected()).toBe(false);
  for (const call of [lost.getStake(chain.treasury), lost.getStoredKeys(zeroHash), lost.getKeySubmitter(zeroHash)]) {
    const error = await call.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(BlfError);
    expect(error).toMatchObject({ code: "CHAIN_UNREACHABLE", retryable: true });
  }
});
