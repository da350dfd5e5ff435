import { type Address, createWalletClient, http, type LocalAccount } from "viem";
import { blindAbi } from "../chain/abi/blind.ts";
import type { Chain } from "../chain/clients.ts";

export type FundOptions = {
  chain: Chain;
  rpcUrl: string;
  /** Holds ETH and BLIND, and sends nothing else. */
  account: LocalAccount;
  blind: Address;
  /** Wei of ETH for each call. */
  eth: bigint;
  /** Wei of BLIND for each call. */
  amount: bigint;
};

/** Gives addresses what they need to take part. Calls wait for each other, since they share one nonce. */
export function createFund(options: FundOptions): (address: Address) => Promise<void> {
  const { client } = options.chain;
  const wallet = createWalletClient({
    account: options.account,
    chain: client.chain,
    transport: http(options.rpcUrl),
  });
  let turn: Promise<void> = Promise.resolve();
  const fundNow = async (to: Address): Promise<void> => {
    const eth = await wallet.sendTransaction({ to, value: options.eth, chain: wallet.chain });
    await client.waitForTransactionReceipt({ hash: eth });
    const call = {
      address: options.blind,
      abi: blindAbi,
      functionName: "transfer",
      args: [to, options.amount],
    } as const;
    const blind = await wallet.writeContract({ ...call, chain: wallet.chain });
    await client.waitForTransactionReceipt({ hash: blind });
  };
  return (address) => {
    const result = turn.then(() => fundNow(address));
    turn = result.catch(() => {});
    return result;
  };
}
