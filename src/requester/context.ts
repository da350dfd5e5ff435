import type { Address } from "viem";
import type { Chain } from "../chain/clients.ts";
import type { Sender } from "../chain/sender.ts";
import type { Cofhe } from "../cofhe/cofhe.ts";
import type { RandomBytes } from "../crypto/random.ts";
import type { RequesterClient } from "../icl/requester.ts";
import type { Downloader } from "../ipfs/download.ts";
import type { Clock } from "../lib/clock.ts";

/** What a requester works with. */
export type RequesterContext = {
  address: Address;
  client: RequesterClient;
  chain: Chain;
  sender: Sender;
  cofhe: Cofhe;
  downloader: Downloader;
  keyStore: Address;
  clock: Clock;
  random: RandomBytes;
};
