import { pbkdf2Sync } from "node:crypto";
import { bytesToHex } from "viem";
import { HDKey, type LocalAccount, privateKeyToAccount } from "viem/accounts";

/**
 * The accounts of a devnet. Their keys come from the mnemonic that every Ethereum tool uses for tests: they are known to
 * everybody, worth nothing, and must never hold anything on a network that others can reach.
 */
export type DevnetAccounts = {
  /** Deploys and owns the contracts; slashed stakes go to it. */
  deployer: LocalAccount;
  /** For nodes, in tests. */
  nodes: readonly [LocalAccount, LocalAccount, LocalAccount];
  /** For requesters. */
  developers: readonly [LocalAccount, LocalAccount, LocalAccount];
  /** The coordinator: records failures, updates attestations, accrues rewards. */
  icl: LocalAccount;
  /** The payment service: pays the nodes in BLIND. */
  treasury: LocalAccount;
  /** Hands out test ether and BLIND to new wallets. */
  funder: LocalAccount;
};

const mnemonic = "test test test test test test test test test test test junk";

/** The first ten accounts of the test mnemonic at m/44'/60'/0'/0, in the order of the type. */
export function devnetAccounts(): DevnetAccounts {
  const parent = HDKey.fromMasterSeed(seed()).derive("m/44'/60'/0'/0");
  const account = (index: number) => privateKeyToAccount(bytesToHex(parent.deriveChild(index).privateKey!));
  return {
    deployer: account(0),
    nodes: [account(1), account(2), account(3)],
    developers: [account(4), account(5), account(6)],
    icl: account(7),
    treasury: account(8),
    funder: account(9),
  };
}

/** BIP-39, by the native implementation: in JavaScript this alone takes longer than booting the chain. */
function seed(): Uint8Array {
  return pbkdf2Sync(mnemonic, "mnemonic", 2048, 64, "sha512");
}
