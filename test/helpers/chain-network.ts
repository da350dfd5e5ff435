import { parseEther, parseGwei } from "viem";
import { generatePrivateKey, type PrivateKeyAccount, privateKeyToAccount } from "viem/accounts";
import type { NetworkAddresses } from "../../src/chain/addresses.ts";
import { type Chain, createChain } from "../../src/chain/clients.ts";
import { createSender, type Sender, type SenderOptions } from "../../src/chain/sender.ts";
import { createMemoryTransactionStore } from "../../src/chain/transaction-store.ts";
import { devnetAccounts } from "../../src/devnet/accounts.ts";
import { deployNetwork } from "../../src/devnet/contracts/deploy.ts";
import { fundAccounts } from "../../src/devnet/contracts/fund.ts";
import { devnetGenesis } from "../../src/devnet/contracts/genesis.ts";
import { startEvm } from "../../src/devnet/evm/server.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { captureLog } from "./capture-log.ts";

export type ChainNetwork = {
  url: string;
  chain: Chain;
  addresses: NetworkAddresses;
  /** A new account with ether and BLIND, both in wei. */
  account(ether?: bigint, blind?: bigint): Promise<PrivateKeyAccount>;
  /** A sender straight to the chain, with what the test wants to be different. */
  sender(account: PrivateKeyAccount, options?: Partial<SenderOptions>): Sender;
  stop(): Promise<void>;
};

/** Our EVM with the network's contracts. */
export async function startChainNetwork(): Promise<ChainNetwork> {
  const evm = await startEvm({ port: 0, clock: systemClock, genesis: devnetGenesis() });
  const addresses = await deployNetwork({ rpcUrl: evm.url });
  const chain = createChain({ rpcUrl: evm.url, chainId: evm.chainId });
  const { funder } = devnetAccounts();
  return {
    url: evm.url,
    chain,
    addresses,
    account: async (etherAmount = parseEther("1"), blindAmount = 0n) => {
      const account = privateKeyToAccount(generatePrivateKey());
      const recipients = [account.address];
      await fundAccounts({ rpcUrl: evm.url, funder, blind: addresses.blind, recipients, etherAmount, blindAmount });
      return account;
    },
    sender: (account, options = {}) =>
      createSender({
        chain,
        account,
        store: createMemoryTransactionStore(),
        clock: systemClock,
        log: captureLog().log,
        maxFeePerGas: parseGwei("10"),
        ...options,
      }),
    stop: evm.stop,
  };
}
