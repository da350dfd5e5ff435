import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Address } from "viem";
import type { NetworkAddresses } from "../../src/chain/addresses.ts";
import { fundAccounts } from "../../src/devnet/contracts/fund.ts";
import type { Limits } from "../../src/devnet/coordinator/limits.ts";
import { nodeVariables } from "../../src/devnet/devnet.ts";
import { createLock } from "../../src/lib/lock.ts";
import { until } from "../e2e/network.ts";
import { freePort } from "../helpers/free-port.ts";
import { coordinatorAccounts } from "./accounts.ts";
import { firstDocument, killHard, type LoggedProcess, spawnLogged } from "./processes.ts";

/** What a coordinator's process is told. */
export type CoordinatorFile = {
  rpc: string;
  chainId: number;
  addresses: NetworkAddresses;
  iclPort: number;
  paymentPort: number;
  limits?: Partial<Limits>;
};

export type SoakNetwork = {
  /** Where the services really are, without faults. */
  endpoints: { rpc: string; icl: string; payment: string; ipfs: string };
  addresses: NetworkAddresses;
  treasury: Address;
  chainId: number;
  /** Of the coordinator's database. */
  storePath: string;
  fund(address: Address): Promise<void>;
  chainPid(): number;
  coordinatorPid(): number | undefined;
  /** Kills the coordinator as `kill -9` does. */
  killCoordinator(): Promise<void>;
  /** Starts it again on the same ports. With `forgetNodes` it knows no node any more, as after the loss of a table. */
  startCoordinator(options?: { forgetNodes?: boolean }): Promise<void>;
  /** Whether a service ended that nobody had killed, and how. */
  problem(): string | undefined;
  stop(): Promise<void>;
};

/** What the process of the chain prints. */
export type ChainDocument = { rpc: string; ipfs: string; chainId: number; addresses: NetworkAddresses };

/** The devnet in two processes: the chain and the blobs, which stay, and the coordinator, which can be killed and started again. */
export async function startSoakNetwork(directory: string, limits?: Partial<Limits>): Promise<SoakNetwork> {
  mkdirSync(directory, { recursive: true });
  const script = (name: string, ...args: string[]) => [process.execPath, join(import.meta.dir, name), ...args];
  const env = { HOME: directory, PATH: "/nonexistent" };
  const chainLog = join(directory, "chain.log");
  const coordinatorLog = join(directory, "coordinator.log");
  const chain = spawnLogged(script("chain-process.ts", directory), env, chainLog);
  let coordinator: LoggedProcess | undefined;
  const stop = async () => {
    if (coordinator) await killHard(coordinator);
    await killHard(chain);
  };
  try {
    const { rpc, ipfs, chainId, addresses } = (await firstDocument(chain, chainLog)) as ChainDocument;
    const [iclPort, paymentPort] = [freePort(), freePort()];
    const file: CoordinatorFile = { rpc, chainId, addresses, iclPort, paymentPort, ...(limits ? { limits } : {}) };
    writeFileSync(join(directory, "coordinator.json"), JSON.stringify(file));
    const startCoordinator = async ({ forgetNodes = false } = {}) => {
      const args = forgetNodes ? [directory, "forget-nodes"] : [directory];
      const child = spawnLogged(script("coordinator-process.ts", ...args), env, coordinatorLog);
      coordinator = child;
      await firstDocument(child, coordinatorLog);
    };
    await startCoordinator();
    const accounts = coordinatorAccounts();
    const inTurn = createLock();
    return {
      endpoints: { rpc, ipfs, icl: `http://127.0.0.1:${iclPort}`, payment: `http://127.0.0.1:${paymentPort}` },
      addresses,
      treasury: accounts.treasury.address,
      chainId,
      storePath: join(directory, "coordinator.db"),
      fund: (address) =>
        inTurn(() =>
          fundAccounts({
            rpcUrl: rpc,
            funder: accounts.funder,
            blind: addresses.blind,
            recipients: [address],
            etherAmount: 10n ** 19n,
            blindAmount: 10n ** 22n,
          }),
        ),
      chainPid: () => chain.pid,
      coordinatorPid: () => coordinator?.pid,
      killCoordinator: async () => {
        const child = coordinator;
        coordinator = undefined;
        if (child) await killHard(child);
      },
      startCoordinator: async (options) => {
        await until("the coordinator's ports are free again", () =>
          startCoordinator(options).then(
            () => true,
            () => false,
          ),
        );
      },
      problem: () => {
        if (chain.exitCode !== null || chain.signalCode !== null) return "the chain's process ended";
        if (coordinator && (coordinator.exitCode !== null || coordinator.signalCode !== null))
          return "the coordinator's process ended";
        return undefined;
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

export type ProxyUrls = { icl: string; rpc: string; cofhe: string; gateway: string; upload: string };

/** The variables of a node that reaches every service through a proxy of its own. */
export function proxiedVariables(network: SoakNetwork, urls: ProxyUrls): Record<string, string> {
  const { icl, rpc, cofhe, gateway, upload } = urls;
  const endpoints = { ...network.endpoints, icl, rpc, ipfs: gateway };
  return {
    ...nodeVariables(endpoints, network.addresses, network.treasury),
    BLF_COFHE_ENDPOINT: cofhe,
    BLF_IPFS_UPLOAD_URL: upload,
  };
}
