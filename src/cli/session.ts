import { join } from "node:path";
import { assertChainId, type Chain, createChain } from "../chain/clients.ts";
import { createSender, type Sender } from "../chain/sender.ts";
import { type Config, loadConfig, maxFeePerGas, requireConfig } from "../config/load.ts";
import type { ConfigFile } from "../config/schema.ts";
import { type Secrets, takeSecrets } from "../config/secrets.ts";
import { createIclClient, type IclClient } from "../icl/client.ts";
import { systemClock } from "../lib/clock.ts";
import { BlfError } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { type Journal, openJournal } from "../node/journal/journal.ts";
import { unlockWallet, type Wallet } from "../wallet/wallet.ts";
import { stderrLogger } from "./ui/io.ts";
import { type PasswordOptions, readPassword } from "./ui/password.ts";

/** What most commands begin with. */
export type Session = { config: Config; secrets: Secrets; log: Logger };

export type SessionOptions = {
  flags?: ConfigFile;
  /** Whether the command needs a node that was initialised; true by default. */
  initialised?: boolean;
};

/** Loads the configuration and takes the secrets out of the environment. @throws BlfError `CONFIG_*`, `NOT_INITIALISED` */
export function openSession(options: SessionOptions = {}): Session {
  const secrets = takeSecrets(process.env);
  const load = options.initialised === false ? loadConfig : requireConfig;
  const { config } = load({ env: process.env, ...(options.flags ? { flags: options.flags } : {}) });
  return { config, secrets, log: stderrLogger(config.log_level, config.log_format) };
}

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

export type ChainSession = { chain: Chain; sender: Sender; journal: Journal };

/** The chain with a sender whose transactions survive an interruption of the command. */
export async function openChainSession(session: Session, wallet: Wallet): Promise<ChainSession> {
  const { config, log } = session;
  const chain = createChain({ rpcUrl: config.rpc_url, chainId: config.chain_id, explorer: config.explorer });
  await assertChainId(chain);
  const journal = openJournal(journalPath(config), systemClock);
  const sender = createSender({
    chain,
    account: wallet.account,
    store: journal.transactions,
    clock: systemClock,
    log,
    maxFeePerGas: maxFeePerGas(config),
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

export function journalPath(config: Config): string {
  return join(config.dir, "journal.db");
}

/** @throws BlfError `CONTRACT_NOT_CONFIGURED` */
export function requireAddress(config: Config, key: Extract<keyof Config, `${string}_address`>): `0x${string}` {
  const address = config[key];
  if (address !== "") return address;
  throw new BlfError({
    code: "CONTRACT_NOT_CONFIGURED",
    message: `The address ${key} is not configured`,
    hint: `Set ${key} in config.json or BLF_${key.toUpperCase()}.`,
  });
}
