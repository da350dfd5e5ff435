import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseEther, parseGwei } from "viem";
import { buildTinyModel } from "../../native/tiny-model.ts";
import { createMockAttestor } from "../../src/attestation/mock.ts";
import { createChain } from "../../src/chain/clients.ts";
import { registerNode } from "../../src/chain/node-registry.ts";
import { createSender } from "../../src/chain/sender.ts";
import { readStake, stake } from "../../src/chain/staking.ts";
import { createMemoryTransactionStore } from "../../src/chain/transaction-store.ts";
import { loadConfig } from "../../src/config/load.ts";
import { updateConfigFile } from "../../src/config/save.ts";
import { systemRandom } from "../../src/crypto/random.ts";
import { type Devnet, startDevnet } from "../../src/devnet/devnet.ts";
import { checks } from "../../src/doctor/checks.ts";
import { createDoctorContext, type DoctorOptions } from "../../src/doctor/context.ts";
import { openProbeModel } from "../../src/doctor/open-model.ts";
import type { DoctorReport } from "../../src/doctor/report.ts";
import { runDoctor } from "../../src/doctor/run.ts";
import { createIclClient } from "../../src/icl/client.ts";
import { systemClock as clock } from "../../src/lib/clock.ts";
import { Secret } from "../../src/lib/secret.ts";
import { attest } from "../../src/node/attest.ts";
import { startDaemon } from "../../src/node/daemon.ts";
import { encryptKeystore } from "../../src/wallet/keystore.ts";
import { writeKeystore } from "../../src/wallet/keystore-file.ts";
import { createPrivateKey } from "../../src/wallet/private-key.ts";
import { walletFromPrivateKey } from "../../src/wallet/wallet.ts";
import { captureLog } from "../helpers/capture-log.ts";
import { freePort } from "../helpers/free-port.ts";

export const modelId = "tiny";
export const password = "correct horse battery";
const { log } = captureLog();

export type DoctorNode = {
  dir: string;
  modelPath: string;
  /** The environment that points every command at this node. */
  env: Record<string, string>;
  /** Runs the node in this process until it is stopped. */
  run(): Promise<void>;
  /** What the doctor finds; `env` and `options` plant faults. */
  examine(env?: Record<string, string>, options?: Partial<DoctorOptions>): Promise<DoctorReport>;
  stop(): Promise<void>;
};

/** An initialised node of a devnet: funded, attested, registered and staked, with a tiny local model. */
export async function createDoctorNode(devnet: Devnet): Promise<DoctorNode> {
  const root = mkdtempSync(join(tmpdir(), "blf-doctor-"));
  const dir = join(root, "node");
  const modelPath = join(root, "tiny.gguf");
  writeFileSync(modelPath, buildTinyModel({ seed: 3 }));
  mkdirSync(dir, { mode: 0o700 });
  const env = {
    ...devnet.variables,
    BLF_CONFIG_DIR: dir,
    // It is attested for from here, which looks to it like another node with its key.
    BLF_DOPPELGANGER_WAIT_S: "0",
    BLF_STATUS_PORT: String(freePort()),
    BLF_ENGINE_THREADS: "1",
  };
  const key = createPrivateKey();
  const wallet = walletFromPrivateKey(key);
  writeKeystore(join(dir, "keystore.json"), await encryptKeystore(key, new Secret(password), { scryptN: 2 }));
  updateConfigFile(dir, { node_address: wallet.address, models: { [modelId]: { path: modelPath } } });
  await devnet.fund(wallet.address);
  await enlist(devnet, dir, wallet);
  let daemon: Awaited<ReturnType<typeof startDaemon>> | undefined;
  return {
    dir,
    modelPath,
    env,
    run: async () => {
      const { config } = loadConfig({ env });
      daemon = await startDaemon({ config, secrets: {}, wallet, log });
    },
    examine: (extra = {}, options = {}) => examine({ ...env, ...extra }, options),
    stop: async () => {
      await daemon?.stop(AbortSignal.abort(new Error("the test is over")));
      daemon = undefined;
      rmSync(root, { recursive: true, force: true });
    },
  };
}

/** Attests, registers and stakes. */
async function enlist(devnet: Devnet, dir: string, wallet: ReturnType<typeof walletFromPrivateKey>): Promise<void> {
  const { endpoints, addresses } = devnet;
  const chain = createChain({ rpcUrl: endpoints.rpc, chainId: 31_337 });
  const store = createMemoryTransactionStore();
  const common = { chain, account: wallet.account, store, clock, log };
  const sender = createSender({ ...common, maxFeePerGas: parseGwei("10") });
  const icl = createIclClient({ baseUrl: endpoints.icl, signer: wallet.account, fetch: globalThis.fetch, clock, log });
  const certificate = await attest({ icl, attestor: createMockAttestor(), modelIds: [modelId], clock });
  await registerNode(sender, addresses.nodeRegistry, {
    tier: 0,
    certHash: certificate.certHash as `0x${string}`,
    expiresAt: certificate.expiry,
    models: [modelId],
  });
  const contracts = { staking: addresses.staking, blind: addresses.blind };
  const before = await readStake(chain, contracts, wallet.address);
  await stake(sender, contracts, before, parseEther("1000"), "test");
  updateConfigFile(dir, {
    attestation_cert_hash: certificate.certHash,
    attestation_expiry: certificate.expiry,
    registered_on_chain: true,
  });
}

async function examine(env: Record<string, string>, options: Partial<DoctorOptions>): Promise<DoctorReport> {
  // The runtime's own variables are no keys of ours.
  const ours = Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("BUN_")));
  const { config, exists } = loadConfig({ env: ours });
  const { rpc_url: rpcUrl, rpc_fallback_urls: fallbackUrls, chain_id: chainId } = config;
  const ctx = createDoctorContext({
    config,
    exists,
    env,
    secrets: {},
    chain: createChain({ rpcUrl, fallbackUrls, chainId, timeoutMs: 4000 }),
    fetch: globalThis.fetch,
    clock,
    random: systemRandom,
    log,
    probe: true,
    openModel: (id, model) => openProbeModel({ config, modelId: id, model, log, clock }),
    ...options,
  });
  return runDoctor(ctx, checks, new AbortController().signal);
}

export function startDoctorDevnet(): Promise<Devnet> {
  return startDevnet({ portBase: 0, clock, log });
}

/** The findings that call for somebody. */
export function red(report: DoctorReport): string[] {
  return report.findings.filter(({ severity }) => severity === "warning" || severity === "error").map(({ id }) => id);
}
