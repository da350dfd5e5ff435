import { existsSync } from "node:fs";
import { join } from "node:path";
import {
  type Account,
  type Address,
  BaseError,
  ContractFunctionRevertedError,
  createPublicClient,
  createTestClient,
  createWalletClient,
  type Hex,
  http,
  parseEther,
} from "viem";
import { generatePrivateKey, type PrivateKeyAccount, privateKeyToAccount } from "viem/accounts";
import { hardhat } from "viem/chains";
import type { NetworkAddresses } from "../../../src/chain/addresses.ts";
import { type DevnetAccounts, devnetAccounts } from "../../../src/devnet/accounts.ts";
import { deployNetwork } from "../../../src/devnet/contracts/deploy.ts";
import { fundAccounts } from "../../../src/devnet/contracts/fund.ts";
import { devnetGenesis } from "../../../src/devnet/contracts/genesis.ts";
import { startEvm } from "../../../src/devnet/evm/server.ts";
import { systemClock } from "../../../src/lib/clock.ts";

type RunningChain = { url: string; stop(): Promise<void> };
export type ChainKind = { name: string; available: boolean; start(): Promise<RunningChain> };

const anvilBinary = join(import.meta.dir, "../../../node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil");

/** The chains on which contracts must behave the same: ours, and an independent one where its binary runs. */
export const chainKinds: ChainKind[] = [
  {
    name: "our EVM",
    available: true,
    start: () => startEvm({ port: 0, clock: systemClock, genesis: devnetGenesis() }),
  },
  { name: "anvil", available: existsSync(anvilBinary), start: startAnvil },
];

async function startAnvil(): Promise<RunningChain> {
  const options = ["--port", "0", "--chain-id", "31337", "--hardfork", "cancun", "--auto-impersonate"];
  const process = Bun.spawn([anvilBinary, ...options], { stdout: "pipe", stderr: "ignore" });
  let printed = "";
  let url: string | undefined;
  for await (const chunk of process.stdout) {
    printed += new TextDecoder().decode(chunk);
    const address = /Listening on (127\.0\.0\.1:\d+)/.exec(printed)?.[1];
    if (!address) continue;
    url = `http://${address}`;
    break;
  }
  if (!url) throw new Error(`anvil did not start: ${printed}`);
  const test = createTestClient({ chain: hardhat, mode: "anvil", transport: http(url) });
  for (const [address, { balance, code }] of Object.entries(devnetGenesis()) as [
    Address,
    { balance?: bigint; code?: Hex },
  ][]) {
    if (balance !== undefined) await test.setBalance({ address, value: balance });
    if (code !== undefined) await test.setCode({ address, bytecode: code });
  }
  return {
    url,
    stop: async () => {
      process.kill();
      await process.exited;
    },
  };
}

/** A deployed network on one chain. */
export type Network = Awaited<ReturnType<typeof startNetwork>>;

export async function startNetwork(kind: ChainKind) {
  const chain = await kind.start();
  const accounts: DevnetAccounts = devnetAccounts();
  const addresses: NetworkAddresses = await deployNetwork({ rpcUrl: chain.url });
  const transport = http(chain.url, { retryCount: 0 });
  const client = createPublicClient({ chain: hardhat, transport, pollingInterval: 20, cacheTime: 0 });
  const test = createTestClient({ chain: hardhat, mode: "anvil", transport });
  return {
    url: chain.url,
    stop: chain.stop,
    accounts,
    addresses,
    client,
    wallet: (account: Account) => createWalletClient({ chain: hardhat, transport, account }),
    /** Waits for a transaction that must succeed. */
    mined: async (hash: Promise<Hex>) => {
      const receipt = await client.waitForTransactionReceipt({ hash: await hash });
      if (receipt.status !== "success") throw new Error(`transaction ${receipt.transactionHash} reverted`);
      return receipt;
    },
    /** Moves the chain's time. */
    advance: async (seconds: number) => {
      await test.increaseTime({ seconds });
      await test.mine({ blocks: 1 });
    },
    /** A new account with ether and BLIND. */
    freshAccount: async (blindAmount = 0n): Promise<PrivateKeyAccount> => {
      const account = privateKeyToAccount(generatePrivateKey());
      const { funder } = accounts;
      const common = { rpcUrl: chain.url, funder, blind: addresses.blind };
      await fundAccounts({ ...common, recipients: [account.address], etherAmount: parseEther("10"), blindAmount });
      return account;
    },
  };
}

/** The custom error with which a call is refused, as viem decodes it. */
export async function revertOf(
  action: Promise<unknown>,
): Promise<{ name: string | undefined; args: readonly unknown[] }> {
  const error = await action.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof BaseError)) throw new Error(`expected a revert, got ${error}`);
  const revert = error.walk((item) => item instanceof ContractFunctionRevertedError);
  if (!(revert instanceof ContractFunctionRevertedError)) throw error;
  return { name: revert.data?.errorName, args: revert.data?.args ?? [] };
}
