import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Address, type Hex, parseAbiItem, parseEther, parseGwei } from "viem";
import { createMockAttestor } from "../../src/attestation/mock.ts";
import { type Chain, createChain } from "../../src/chain/clients.ts";
import { registerNode } from "../../src/chain/node-registry.ts";
import { readKeyHandles, storeKey } from "../../src/chain/prompt-key-store.ts";
import { createSender } from "../../src/chain/sender.ts";
import { readStake, stake } from "../../src/chain/staking.ts";
import { createMemoryTransactionStore } from "../../src/chain/transaction-store.ts";
import { createCofhe } from "../../src/cofhe/client.ts";
import type { Cofhe } from "../../src/cofhe/cofhe.ts";
import { createKeyPool } from "../../src/cofhe/key-pool.ts";
import { loadConfig } from "../../src/config/load.ts";
import type { ConfigFile } from "../../src/config/schema.ts";
import { openText, sealText } from "../../src/crypto/blob.ts";
import { outputKeyJobId } from "../../src/crypto/commitment.ts";
import { joinKey, splitKey } from "../../src/crypto/key-halves.ts";
import { systemRandom } from "../../src/crypto/random.ts";
import { type Devnet, startDevnet } from "../../src/devnet/devnet.ts";
import { createIclClient } from "../../src/icl/client.ts";
import { createRequesterClient, type RequesterClient } from "../../src/icl/requester.ts";
import type { Assignment } from "../../src/icl/wire.ts";
import { createDownloader } from "../../src/ipfs/download.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { attest } from "../../src/node/attest.ts";
import type { NodeContext } from "../../src/node/context.ts";
import { createInference } from "../../src/node/inference.ts";
import { type Journal, openJournal } from "../../src/node/journal/journal.ts";
import { createMetrics } from "../../src/node/metrics.ts";
import { createNodeUploader } from "../../src/node/uploader.ts";
import { deposit } from "../../src/requester/deposit.ts";
import { createPrivateKey } from "../../src/wallet/private-key.ts";
import { type Wallet, walletFromPrivateKey } from "../../src/wallet/wallet.ts";
import { type CapturedLog, captureLog } from "../helpers/capture-log.ts";

export const modelId = "mock-model";
const clock = systemClock;

/** The devnet with nodes that live in the test's own process: real clients, real chain, real coordinator, the mock as model. */
export type World = {
  devnet: Devnet;
  chain: Chain;
  /** A node that is funded, staked, registered and attested. */
  node(options?: { config?: ConfigFile; journalPath?: string }): Promise<WorldNode>;
  /** Buys a job for this quorum, the leader first. */
  job(quorum: WorldNode[], options?: JobOptions): Promise<WorldJob>;
  /** How often a key was stored under the id of a task's output key. */
  storedOutputKeys(taskId: string): Promise<number>;
  /** The answer as its buyer reads it: with the key whose handles are on chain. */
  readAnswer(taskId: string, outputCid: string): Promise<string>;
  stop(): Promise<void>;
};

export type JobOptions = {
  prompt?: string;
  /** What is uploaded instead of the sealed prompt. */
  blob?: (sealed: Uint8Array) => Uint8Array;
  modelId?: string;
};

export type WorldJob = { taskId: Hex; prompt: string; assignment(node: WorldNode): Promise<Assignment> };

export type WorldNode = {
  wallet: Wallet;
  address: Address;
  directory: string;
  journal: Journal;
  log: CapturedLog;
  /** All that a daemon would put together after a start, over this node's journal. */
  context(overrides?: Partial<NodeContext>): NodeContext;
};

export async function startWorld(): Promise<World> {
  const devnet = await startDevnet({ portBase: 0, clock, log: captureLog().log });
  const chain = createChain({ rpcUrl: devnet.endpoints.rpc, chainId: 31_337 });
  const directory = mkdtempSync(join(tmpdir(), "blf-world-"));
  const closing: (() => Promise<void>)[] = [];
  const openCofhe = (wallet: Wallet): Cofhe => {
    const { account } = wallet;
    const cofhe = createCofhe({
      account,
      rpcUrl: devnet.endpoints.rpc,
      chainId: 31_337,
      clock,
      log: captureLog().log,
    });
    closing.push(cofhe.close);
    return cofhe;
  };
  const requester = await openRequester(devnet, chain, openCofhe);
  const downloader = createDownloader({ fetch, gateways: [devnet.endpoints.ipfs], clock, log: captureLog().log });
  let nodes = 0;

  const node: World["node"] = async ({ config: changes = {}, journalPath = ":memory:" } = {}) => {
    const wallet = walletFromPrivateKey(createPrivateKey());
    const dir = join(directory, `node-${++nodes}`);
    const env = { ...devnet.variables, BLF_CONFIG_DIR: dir };
    const { config } = loadConfig({ env, flags: { mock_model_ids: [modelId], ...changes } });
    const log = captureLog();
    const journal = openJournal(journalPath, clock);
    const cofhe = openCofhe(wallet);
    const icl = createIclClient({ baseUrl: config.icl_endpoint, signer: wallet.account, fetch, clock, log: log.log });
    const common = { chain, account: wallet.account, clock, log: log.log, maxFeePerGas: parseGwei("10") };
    const attestor = createMockAttestor();
    const sealer = await wallet.sealer("output-key");
    const uploader = createNodeUploader(config, {}, log.log);
    const metrics = createMetrics();
    const keyPool = createKeyPool({ cofhe, random: systemRandom, log: log.log, clock });
    closing.push(keyPool.close);
    const context: WorldNode["context"] = (overrides = {}) => ({
      config,
      wallet,
      sealer,
      icl,
      chain,
      sender: createSender({ ...common, store: journal.transactions }),
      cofhe,
      keyPool,
      downloader,
      uploader,
      inference: createInference(config, log.log, clock),
      attestor,
      journal,
      metrics,
      log: log.log,
      clock,
      random: systemRandom,
      ...overrides,
    });
    await devnet.fund(wallet.address);
    const sender = createSender({ ...common, store: createMemoryTransactionStore() });
    const certificate = await attest({ icl, attestor, modelIds: [modelId], clock });
    await registerNode(sender, devnet.addresses.nodeRegistry, {
      tier: certificate.tier,
      certHash: certificate.certHash as Hex,
      expiresAt: certificate.expiry,
      models: [modelId],
    });
    const contracts = devnet.addresses;
    await stake(sender, contracts, await readStake(chain, contracts, wallet.address), parseEther("1000"), "stake");
    return { wallet, address: wallet.address, directory: dir, journal, log, context };
  };

  return {
    devnet,
    chain,
    node,
    job: (quorum, options = {}) => buyJob(requester, quorum, options),
    storedOutputKeys: async (taskId) => {
      const logs = await chain.client.getLogs({
        address: devnet.addresses.promptKeyStore,
        event: parseAbiItem(
          "event KeyStored(bytes32 indexed jobId, address indexed submitter, uint256 highHandle, uint256 lowHandle, address[] allowedNodes)",
        ),
        args: { jobId: outputKeyJobId(taskId) },
        fromBlock: 0n,
      });
      return logs.length;
    },
    readAnswer: async (taskId, outputCid) => {
      const handles = await readKeyHandles(chain, devnet.addresses.promptKeyStore, outputKeyJobId(taskId));
      const key = joinKey(await requester.cofhe.decryptKey(handles, AbortSignal.timeout(20_000)));
      return openText(key, await downloader.download(outputCid));
    },
    stop: async () => {
      for (const close of closing.splice(0)) await close();
      await devnet.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

type Requester = {
  wallet: Wallet;
  cofhe: Cofhe;
  client: RequesterClient;
  storeKey: (parameters: Omit<Parameters<typeof storeKey>[1], "store">) => Promise<Hex>;
  keyStore: Address;
};

async function openRequester(devnet: Devnet, chain: Chain, openCofhe: (wallet: Wallet) => Cofhe): Promise<Requester> {
  const wallet = walletFromPrivateKey(createPrivateKey());
  await devnet.fund(wallet.address);
  const { log } = captureLog();
  const store = createMemoryTransactionStore();
  const sender = createSender({ chain, account: wallet.account, store, clock, log, maxFeePerGas: parseGwei("10") });
  const { icl, payment } = devnet.endpoints;
  const client = createRequesterClient({ iclUrl: icl, paymentUrl: payment, fetch, clock });
  const { signal } = new AbortController();
  const { blind, promptKeyStore: keyStore } = devnet.addresses;
  const amount = parseEther("5000");
  await deposit({ client, sender, blind, treasury: devnet.treasury, amount, id: "world", signal });
  return {
    wallet,
    cofhe: openCofhe(wallet),
    client,
    keyStore,
    storeKey: (parameters) => storeKey(sender, { ...parameters, store: keyStore }),
  };
}

async function buyJob(requester: Requester, quorum: WorldNode[], options: JobOptions): Promise<WorldJob> {
  const taskId: Hex = `0x${Buffer.from(systemRandom(32)).toString("hex")}`;
  const { prompt = `What is ${taskId}?`, blob = (sealed) => sealed } = options;
  const key = systemRandom(32);
  const sealed = blob(await sealText(key, prompt));
  const [encryptedKey] = await requester.cofhe.encryptKeys([splitKey(key)], AbortSignal.timeout(20_000));
  const allowed = quorum.map(({ address }) => address);
  const promptKeyStoreTx = await requester.storeKey({ jobId: taskId, key: encryptedKey!, allowed });
  await requester.client.submit({
    userAddress: requester.wallet.address,
    taskId,
    promptCid: await requester.client.uploadPrompt(sealed),
    modelId: options.modelId ?? modelId,
    encryptedKey: encryptedKey!,
    promptKeyStoreTx,
    promptKeyStoreAddress: requester.keyStore,
    promptLength: prompt.length,
    verifierCount: quorum.length - 1,
    currency: "blind",
  });
  return {
    taskId,
    prompt,
    assignment: async (node) => {
      const { icl } = node.context();
      const assignment = (await icl.assignments()).find(({ jobId }) => jobId === taskId);
      if (!assignment) throw new Error("the coordinator does not offer the job to this node");
      return assignment;
    },
  };
}
