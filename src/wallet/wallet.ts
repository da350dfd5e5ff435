import type { Address, Hex } from "viem";
import { type PrivateKeyAccount, privateKeyToAccount } from "viem/accounts";
import { createSealer, type Sealer } from "../crypto/sealing.ts";
import type { Secret } from "../lib/secret.ts";
import { decryptKeystore } from "./keystore.ts";
import { readKeystore } from "./keystore-file.ts";

/** An unlocked wallet. The key itself stays inside: it signs and seals, and cannot be read back. */
export type Wallet = {
  /** EIP-55 checksummed. */
  address: Address;
  /** Signs messages, typed data and transactions for viem. */
  account: PrivateKeyAccount;
  /** A sealer for one purpose, for secrets that must survive a crash. */
  sealer(purpose: string): Promise<Sealer>;
};

export function walletFromPrivateKey(privateKey: Secret<Hex>): Wallet {
  const account = privateKeyToAccount(privateKey.reveal());
  return { address: account.address, account, sealer: (purpose) => createSealer(privateKey, purpose) };
}

/**
 * Opens the keystore at `path`. Takes about a second by design.
 * @throws BlfError `KEYSTORE_NOT_FOUND`, `KEYSTORE_CORRUPT`, `KEYSTORE_UNSUPPORTED`, `KEYSTORE_PASSWORD_WRONG`, `KEYSTORE_ADDRESS_MISMATCH`, `FILE_*`
 */
export async function unlockWallet(parameters: { path: string; password: Secret<string> }): Promise<Wallet> {
  const keystore = readKeystore(parameters.path);
  return walletFromPrivateKey(await decryptKeystore(keystore, parameters.password));
}
