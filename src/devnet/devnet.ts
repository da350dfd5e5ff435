import { join } from "node:path";
import { type Address, type LocalAccount, parseEther, parseGwei } from "viem";
import type { NetworkAddresses } from "../chain/addresses.ts";
import { type Chain, createChain } from "../chain/clients.ts";
import { createSender } from "../chain/sender.ts";
import { createMemoryTransactionStore } from "../chain/transaction-store.ts";
import { systemRandom } from "../crypto/random.ts";
import type { Clock } from "../lib/clock.ts";
import { errorCode } from "../lib/errors.ts";
import { createLock } from "../lib/lock.ts";
import type { Logger } from "../lib/log.ts";
import { devnetAccounts } from "./accounts.ts";
import { createBlobStore } from "./blob-store.ts";
import { deployNetwork } from "./contracts/deploy.ts";
import { fundAccounts } from "./contracts/fund.ts";
import { devnetGenesis } from "./contracts/genesis.ts";
import { createCoordinatorChain } from "./coordinator/chain.ts";
import { type Coordinator, createCoordinator } from "./coordinator/coordinator.ts";
import { startEvm } from "./evm/server.ts";
import { listen } from "./listen.ts";

export type DevnetOptions = {
  /** First of four ports: RPC, coordinator, payment, blobs. 0 takes any free ones. */
  portBase: number;
  /** Keeps the blobs, which are ciphertext, in this directory; in memory otherwise. The chain is always in memory. */
  directory?: string;
  clock: Clock;
  log: Logger;
};

export type Devnet = {
  endpoints: { rpc: string; icl: string; payment: string; ipfs: string };
  addresses: NetworkAddresses;
  treasury: Address;
  /** The `BLF_*` variables that point a node or requester at this devnet. */
  variables: Record<string, string>;
  coordinator: Coordinator;
  /** Gives an address ETH for gas and 10,000 BLIND. */
  fund(address: Address): Promise<void>;
  stop(): Promise<void>;
};

const maxBlobBytes = 32 * 1024 * 1024;
const tickMs = 500;

/**
 * The whole network on this machine: EVM with the contracts, CoFHE stand-ins, coordinator, payment service and blob store, on 127.0.0.1.
 * @throws BlfError `DEVNET_PORT_TAKEN`, `FILE_*`
 */
export async function startDevnet(options: DevnetOptions): Promise<Devnet> {
  const { portBase, clock, log } = options;
  const port = (offset: number) => (portBase === 0 ? 0 : portBase + offset);
  const stops: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (const stopPart of stops.splice(0).reverse()) await stopPart();
  };
  try {
    const evm = await startEvm({ port: port(0), clock, genesis: devnetGenesis() });
    stops.push(evm.stop);
    // The network's coordinator and payment service share one wallet (PROTOCOL.md 16); so do the devnet's.
    const accounts = { ...devnetAccounts(), treasury: devnetAccounts().icl };
    const addresses = await deployNetwork({ rpcUrl: evm.url, accounts });
    const chain = createChain({ rpcUrl: evm.url, chainId: evm.chainId });
    const blobs = createBlobStore({
      maxBytes: maxBlobBytes,
      ...(options.directory ? { directory: join(options.directory, "blobs") } : {}),
    });
    const coordinator = createCoordinator({
      chain: createCoordinatorChain({
        chain,
        sender: coordinatorSender(chain, accounts.icl, options),
        account: accounts.icl.address,
        contracts: addresses,
      }),
      blobs,
      clock,
      log,
      random: systemRandom,
      serviceSecret: Buffer.from(systemRandom(32)).toString("hex"),
    });
    const inTurn = createLock();
    const fund = (address: Address) =>
      inTurn(() =>
        fundAccounts({
          rpcUrl: evm.url,
          funder: accounts.funder,
          blind: addresses.blind,
          recipients: [address],
          etherAmount: parseEther("10"),
          blindAmount: parseEther("10000"),
        }),
      );
    const icl = listen(port(1), coordinator.icl, fund);
    stops.push(icl.stop);
    const payment = listen(port(2), coordinator.payment);
    stops.push(payment.stop);
    const ipfs = listen(port(3), blobs.app);
    stops.push(ipfs.stop);
    const timer = setInterval(() => {
      coordinator
        .tick()
        .catch((error: unknown) => log.warn("the coordinator's tick failed", { code: errorCode(error) }));
    }, tickMs);
    stops.push(async () => clearInterval(timer));
    const endpoints = { rpc: evm.url, icl: icl.url, payment: payment.url, ipfs: ipfs.url };
    const treasury = accounts.treasury.address;
    return {
      endpoints,
      addresses,
      treasury,
      variables: nodeVariables(endpoints, addresses, treasury),
      coordinator,
      fund,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function coordinatorSender(chain: Chain, account: LocalAccount, { clock, log }: DevnetOptions) {
  const store = createMemoryTransactionStore();
  return createSender({ chain, account, store, clock, log, maxFeePerGas: parseGwei("10") });
}

/** The `BLF_*` variables that point a node or requester at these endpoints and contracts. */
export function nodeVariables(
  endpoints: Devnet["endpoints"],
  addresses: NetworkAddresses,
  treasury: Address,
): Record<string, string> {
  return {
    BLF_NETWORK: "devnet",
    BLF_RPC_URL: endpoints.rpc,
    BLF_ICL_ENDPOINT: endpoints.icl,
    BLF_PAYMENT_SERVICE_URL: endpoints.payment,
    BLF_IPFS_GATEWAY: endpoints.ipfs,
    BLF_IPFS_GATEWAYS: endpoints.ipfs,
    BLF_IPFS_UPLOAD_KIND: "kubo",
    BLF_IPFS_UPLOAD_URL: endpoints.ipfs,
    BLF_BLIND_TOKEN_ADDRESS: addresses.blind,
    BLF_STAKING_ADDRESS: addresses.staking,
    BLF_NODE_REGISTRY_ADDRESS: addresses.nodeRegistry,
    BLF_PROMPT_KEY_STORE_ADDRESS: addresses.promptKeyStore,
    BLF_REWARD_ACCUMULATOR_ADDRESS: addresses.rewardAccumulator,
    BLF_PAYMENT_TREASURY_ADDRESS: treasury,
  };
}
