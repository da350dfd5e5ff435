import { type Address, parseGwei } from "viem";
import { createChain } from "../chain/clients.ts";
import { createSender } from "../chain/sender.ts";
import { createMemoryTransactionStore } from "../chain/transaction-store.ts";
import { createCofhe } from "../cofhe/client.ts";
import { systemRandom } from "../crypto/random.ts";
import { createRequesterClient } from "../icl/requester.ts";
import { createDownloader } from "../ipfs/download.ts";
import { systemClock as clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import type { RequesterContext } from "../requester/context.ts";
import { deposit } from "../requester/deposit.ts";
import { createPrivateKey } from "../wallet/private-key.ts";
import { walletFromPrivateKey } from "../wallet/wallet.ts";
import type { Devnet } from "./devnet.ts";

export type DevnetRequesterOptions = {
  /** May be in another process. */
  devnet: Pick<Devnet, "endpoints" | "addresses" | "treasury" | "fund">;
  /** Wei of BLIND that are paid in for jobs. */
  credits: bigint;
  log: Logger;
  signal: AbortSignal;
};

/** A requester with a new wallet that the devnet has funded, and with credits. Its CoFHE client has to be closed. */
export async function openDevnetRequester(options: DevnetRequesterOptions): Promise<RequesterContext> {
  const { log, signal } = options;
  const { endpoints, addresses, treasury, fund } = options.devnet;
  const wallet = walletFromPrivateKey(createPrivateKey());
  await fund(wallet.address);
  const { account, address } = wallet;
  const chain = createChain({ rpcUrl: endpoints.rpc, chainId: 31_337 });
  const store = createMemoryTransactionStore();
  const sender = createSender({ chain, account, store, clock, log, maxFeePerGas: parseGwei("10") });
  const common = { fetch: globalThis.fetch, clock };
  const client = createRequesterClient({ ...common, iclUrl: endpoints.icl, paymentUrl: endpoints.payment });
  await deposit({ client, sender, blind: addresses.blind, treasury, amount: options.credits, id: address, signal });
  return {
    address,
    client,
    chain,
    sender,
    cofhe: createCofhe({ account, rpcUrl: endpoints.rpc, chainId: 31_337, clock, log }),
    downloader: createDownloader({ ...common, gateways: [endpoints.ipfs], log }),
    keyStore: addresses.promptKeyStore as Address,
    clock,
    random: systemRandom,
  };
}
