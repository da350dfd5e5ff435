import { join } from "node:path";
import { createBlobStore } from "../../src/devnet/blob-store.ts";
import { deployNetwork } from "../../src/devnet/contracts/deploy.ts";
import { devnetGenesis } from "../../src/devnet/contracts/genesis.ts";
import { startEvm } from "../../src/devnet/evm/server.ts";
import { listen } from "../../src/devnet/listen.ts";
import { systemClock as clock } from "../../src/lib/clock.ts";
import { coordinatorAccounts } from "./accounts.ts";

/**
 * What of a devnet must outlive its coordinator: the chain with the contracts, and the blob store. Prints where they are and runs until it is
 * stopped.
 */
const [directory] = process.argv.slice(2);
if (!directory) throw new Error("usage: chain-process.ts <directory>");
const evm = await startEvm({ port: 0, clock, genesis: devnetGenesis() });
const addresses = await deployNetwork({ rpcUrl: evm.url, accounts: coordinatorAccounts() });
const blobs = listen(0, createBlobStore({ directory: join(directory, "blobs") }).app);
console.log(JSON.stringify({ rpc: evm.url, ipfs: blobs.url, chainId: evm.chainId, addresses }));
