import { afterAll, afterEach, beforeAll, beforeEach } from "bun:test";
import type { Address } from "viem";
import { type Chain, createChain } from "../../src/chain/clients.ts";
import { type Devnet, startDevnet } from "../../src/devnet/devnet.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { createPrivateKey } from "../../src/wallet/private-key.ts";
import { walletFromPrivateKey } from "../../src/wallet/wallet.ts";
import { captureLog } from "../helpers/capture-log.ts";
import { type RpcProxy, startRpcProxy } from "../helpers/rpc-proxy.ts";
import { keystoreDirectory } from "./keystore-directory.ts";

/** What a test of commands on a chain works with. */
export type ChainWorld = {
  devnet: Devnet;
  chain: Chain;
  /** Between the command and the chain, for each test. */
  proxy: RpcProxy;
  /** A funded node, for each test. */
  node: Awaited<ReturnType<typeof keystoreDirectory>>;
  address: Address;
  env: Record<string, string>;
};

/** One devnet for the tests of a file, and for each of them a new node behind a proxy of its own. */
export function useChainWorld(): ChainWorld {
  const world = {} as ChainWorld;
  beforeAll(async () => {
    world.devnet = await startDevnet({ portBase: 0, clock: systemClock, log: captureLog().log });
    world.chain = createChain({ rpcUrl: world.devnet.endpoints.rpc, chainId: 31_337 });
  });
  afterAll(() => world.devnet?.stop());
  beforeEach(async () => {
    world.proxy = await startRpcProxy(world.devnet.endpoints.rpc);
    const key = createPrivateKey();
    world.address = walletFromPrivateKey(key).address;
    await world.devnet.fund(world.address);
    world.node = await keystoreDirectory(key);
    world.env = { ...world.devnet.variables, ...world.node.unlocked, BLF_RPC_URL: world.proxy.url };
  });
  afterEach(async () => {
    world.node[Symbol.dispose]();
    await world.proxy.stop();
  });
  return world;
}
