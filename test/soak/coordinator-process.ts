import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseGwei } from "viem";
import { createChain } from "../../src/chain/clients.ts";
import { createSender } from "../../src/chain/sender.ts";
import { systemRandom } from "../../src/crypto/random.ts";
import { createBlobStore } from "../../src/devnet/blob-store.ts";
import { createCoordinatorChain } from "../../src/devnet/coordinator/chain.ts";
import { createCoordinator } from "../../src/devnet/coordinator/coordinator.ts";
import { listen } from "../../src/devnet/listen.ts";
import { systemClock as clock } from "../../src/lib/clock.ts";
import { errorCode } from "../../src/lib/errors.ts";
import { createLogger } from "../../src/lib/log.ts";
import { coordinatorAccounts } from "./accounts.ts";
import { openCoordinatorStore } from "./coordinator-store.ts";
import type { CoordinatorFile } from "./network.ts";

/**
 * The devnet's coordinator as a process of its own, which can be killed at any moment: what it has answered for is written down before the
 * answer goes out. Its directory holds coordinator.json, and gets coordinator.db.
 */
const [directory, how] = process.argv.slice(2);
if (!directory) throw new Error("usage: coordinator-process.ts <directory> [forget-nodes]");
const file = JSON.parse(readFileSync(join(directory, "coordinator.json"), "utf8")) as CoordinatorFile;
const store = openCoordinatorStore(join(directory, "coordinator.db"));
const state = store.load({ forgetNodes: how === "forget-nodes" });
const log = createLogger({ level: "warn", format: "json", clock, write: (line) => console.error(line) });
const chain = createChain({ rpcUrl: file.rpc, chainId: file.chainId });
const { icl: account } = coordinatorAccounts();
const coordinator = createCoordinator({
  chain: createCoordinatorChain({
    chain,
    sender: createSender({
      chain,
      account,
      store: store.transactions,
      clock,
      log,
      maxFeePerGas: parseGwei("10"),
    }),
    account: account.address,
    contracts: file.addresses,
  }),
  blobs: createBlobStore({ directory: join(directory, "blobs") }),
  clock,
  log,
  random: systemRandom,
  serviceSecret: Buffer.from(systemRandom(32)).toString("hex"),
  ...(file.limits ? { limits: file.limits } : {}),
  state,
});

type App = { fetch(request: Request): Response | Promise<Response> };
const durable = (app: App): App => ({
  fetch: async (request) => {
    const response = await app.fetch(request);
    if (request.method !== "GET") store.save(state);
    return response;
  },
});

listen(file.iclPort, durable(coordinator.icl));
listen(file.paymentPort, durable(coordinator.payment));
setInterval(() => {
  coordinator
    .tick()
    .catch((error: unknown) => log.warn("the tick failed", { code: errorCode(error) }))
    .finally(() => store.save(state));
}, 500);
console.log(JSON.stringify({ ok: true }));
