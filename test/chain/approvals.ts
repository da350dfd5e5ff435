import { afterAll, afterEach, beforeAll, beforeEach } from "bun:test";
import { parseAbiItem } from "viem";
import type { PrivateKeyAccount } from "viem/accounts";
import { blindAbi } from "../../src/chain/abi/blind.ts";
import { type Chain, createChain } from "../../src/chain/clients.ts";
import { contractCall } from "../../src/chain/contract-call.ts";
import type { Sender, SenderOptions, SendRequest } from "../../src/chain/sender.ts";
import { createMemoryTransactionStore, type TransactionStore } from "../../src/chain/transaction-store.ts";
import { type ChainNetwork, startChainNetwork } from "../helpers/chain-network.ts";
import { type RpcProxy, startRpcProxy } from "../helpers/rpc-proxy.ts";

const approvalEvent = parseAbiItem("event Approval(address indexed owner, address indexed spender, uint256 value)");

export type Approvals = {
  network: ChainNetwork;
  proxy: RpcProxy;
  store: TransactionStore;
  /** May be replaced by the test before it makes a sender. */
  account: PrivateKeyAccount;
  /** A new sender as after a start of the program, over what is left of the last one: the store. */
  sender(options?: Partial<SenderOptions>): Sender;
  /** The values of all approvals that were mined, in order. */
  mined(): Promise<bigint[]>;
  /** How many transactions of the account were mined. */
  nonce(): Promise<number>;
  approve(value: bigint): SendRequest;
};

/** For one file of tests: a network, and for each test a new account behind a proxy that can misbehave. */
export function useApprovals(): Approvals {
  let proxied: Chain;
  const fixture = {} as Approvals;
  beforeAll(async () => {
    fixture.network = await startChainNetwork();
  });
  afterAll(() => fixture.network.stop());
  beforeEach(async () => {
    fixture.proxy = await startRpcProxy(fixture.network.url);
    proxied = createChain({ rpcUrl: fixture.proxy.url, chainId: 31_337 });
    fixture.account = await fixture.network.account();
    fixture.store = createMemoryTransactionStore();
  });
  afterEach(() => fixture.proxy.stop());

  fixture.sender = (options = {}) =>
    fixture.network.sender(fixture.account, { chain: proxied, store: fixture.store, ...options });
  fixture.mined = async () => {
    const logs = await fixture.network.chain.client.getLogs({
      address: fixture.network.addresses.blind,
      event: approvalEvent,
      args: { owner: fixture.account.address },
      fromBlock: 0n,
    });
    return logs.map(({ args }) => args.value!);
  };
  fixture.nonce = () => fixture.network.chain.client.getTransactionCount({ address: fixture.account.address });
  /** An approval of so many wei, which can be counted on chain. */
  fixture.approve = (value) => {
    const { blind, staking } = fixture.network.addresses;
    const call = contractCall({ address: blind, abi: blindAbi, functionName: "approve", args: [staking, value] });
    return { purpose: `approve:${value}`, action: "approve", call };
  };
  return fixture;
}

/** What a promise resolved to, if it has; what it was rejected with is thrown. */
export async function settled<T>(promise: Promise<T>): Promise<T | undefined> {
  return Promise.race([promise, Promise.resolve(undefined)]);
}
