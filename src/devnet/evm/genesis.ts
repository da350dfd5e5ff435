import { type Block, createBlock } from "@ethereumjs/block";
import { createAccount, createAddressFromString, hexToBytes } from "@ethereumjs/util";
import type { VM } from "@ethereumjs/vm";
import type { Address, Hex } from "viem";

/** What is on the chain before its first transaction. */
export type Genesis = Record<Address, GenesisAccount>;

export type GenesisAccount = {
  /** In wei. */
  balance?: bigint;
  /** Code as it runs: no constructor is called. */
  code?: Hex;
  /** Unlocks the account: `eth_sendTransaction` signs for it. Only for a key that is public anyway. */
  privateKey?: Hex;
};

export const blockGasLimit = 60_000_000n;

/** Fixed, in wei per gas: that of Arbitrum Sepolia. */
export const baseFeePerGas = 100_000_000n;

/** Writes the accounts and returns block 0, with the state's real root. */
export async function applyGenesis(vm: VM, genesis: Genesis, timestamp: bigint): Promise<Block> {
  for (const [text, account] of Object.entries(genesis)) {
    const address = createAddressFromString(text);
    await vm.stateManager.putAccount(address, createAccount({ balance: account.balance ?? 0n }));
    if (account.code !== undefined) await vm.stateManager.putCode(address, hexToBytes(account.code));
  }
  const stateRoot = await vm.stateManager.getStateRoot();
  const header = { number: 0n, timestamp, gasLimit: blockGasLimit, baseFeePerGas, stateRoot };
  return createBlock({ header }, { common: vm.common });
}
