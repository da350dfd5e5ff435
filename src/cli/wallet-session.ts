import { assertChainId, type Chain, createChain } from "../chain/clients.ts";
import { createSender, type Sender } from "../chain/sender.ts";
import { createSharedNonces } from "../chain/wallet-lock.ts";
import { type Config, maxFeePerGas } from "../config/load.ts";
import { createIclClient, type IclClient } from "../icl/client.ts";
import { systemClock } from "../lib/clock.ts";
import { BlfError } from "../lib/errors.ts";
import { type Journal, openJournal } from "../node/journal/journal.ts";
import { unlockWallet, type Wallet } from "../wallet/wallet.ts";
import { journalPath, type Session } from "./session.ts";
import { type PasswordOptions, readPassword } from "./ui/password.ts";

/** @throws BlfError `PASSWORD_MISSING`, `KEYSTORE_*`, `WALLET_NOT_OF_THIS_NODE` */
export async function unlock(session: Session, options: PasswordOptions): Promise<Wallet> {
  const password = await readPassword(session.secrets, options);
  const wallet = await unlockWallet({ path: session.config.keystore_path, password });
  const expected = session.config.node_address;
  if (expected === "" || expected.toLowerCase() === wallet.address.toLowerCase()) return wallet;
  throw new BlfError({
    code: "WALLET_NOT_OF_THIS_NODE",
    message: `The keystore belongs to ${wallet.address}, the configuration to ${expected}`,
    hint: "Correct node_address or keystore_path.",
  });
}

/** The chain of the configuration, for reading. Nothing is sent before the first call. */
export function openChain(config: Config): Chain {
  return createChain({
    rpcUrl: config.rpc_url,
    fallbackUrls: config.rpc_fallback_urls,
    chainId: config.chain_id,
    explorer: config.explorer,
  });
}

export type ChainSession = { chain: Chain; sender: Sender; journal: Journal };

/** The chain with a sender whose transactions survive an interruption of the command. */
export async function openChainSession({ config, log }: Session, wallet: Wallet): Promise<ChainSession> {
  const chain = openChain(config);
  await assertChainId(chain);
  const journal = openJournal(journalPath(config), systemClock);
  const sender = createSender({
    chain,
    account: wallet.account,
    store: journal.transactions,
    clock: systemClock,
    log,
    maxFeePerGas: maxFeePerGas(config),
    nonces: createSharedNonces({
      dir: config.dir,
      address: wallet.address,
      chainId: config.chain_id,
      clock: systemClock,
      log,
    }),
  });
  return { chain, sender, journal };
}

export function openIcl(session: Session, wallet: Wallet): IclClient {
  return createIclClient({
    baseUrl: session.config.icl_endpoint,
    signer: wallet.account,
    fetch: globalThis.fetch,
    clock: systemClock,
    log: session.log,
  });
}
