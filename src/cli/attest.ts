import type { Command } from "commander";
import { createAttestor } from "../attestation/create.ts";
import { transactionLink } from "../chain/clients.ts";
import { isRegistered, registerNode } from "../chain/node-registry.ts";
import { updateConfigFile } from "../config/save.ts";
import type { Certificate } from "../icl/wire.ts";
import { systemClock } from "../lib/clock.ts";
import { Secret } from "../lib/secret.ts";
import { attest } from "../node/attest.ts";
import { offeredModels } from "../node/models.ts";
import type { Wallet } from "../wallet/wallet.ts";
import { openSession, requireAddress, type Session } from "./session.ts";
import { printJson, printTable } from "./ui/io.ts";
import { openChainSession, openIcl, unlock } from "./wallet-session.ts";

type Options = { mock?: boolean; teeKey?: string; register?: boolean; json?: boolean; passwordStdin?: boolean };

export function register(program: Command): void {
  program
    .command("attest")
    .description("Prove to the coordinator what this node runs on, and get a certificate.")
    .option("--mock", "software attestation, tier 0, whatever the configuration says")
    .option("--tee-key <key>", "key of the mock attestation, as text (or MOCK_ATTESTATION_KEY)")
    .option("--register", "also register the node on chain (NodeRegistry), if it is not yet")
    .option("--no-register", "do not register on chain")
    .option("--password-stdin", "read the keystore's password from standard input")
    .option("--json", "print one JSON document")
    .action(run);
}

async function run(options: Options): Promise<void> {
  const session = openSession({ flags: options.mock ? { attestation_backend: "mock" } : {} });
  const { config, secrets } = session;
  if (options.teeKey) secrets.mockAttestationKey = new Secret(options.teeKey);
  const wallet = await unlock(session, options);
  const attestor = createAttestor(config.attestation_backend, secrets);
  const modelIds = offeredModels(config);
  const certificate = await attest({ icl: openIcl(session, wallet), attestor, modelIds, clock: systemClock });
  updateConfigFile(config.dir, {
    attestation_cert_hash: certificate.certHash,
    attestation_expiry: certificate.expiry,
    tier: Math.min(certificate.tier, 2),
  });
  const registration = options.register ? await registerOnChain(session, wallet, certificate, modelIds) : undefined;
  const expiresAt = new Date(certificate.expiry * 1000).toISOString();
  if (options.json)
    return printJson({
      ok: true,
      address: wallet.address,
      certHash: certificate.certHash,
      expiresAt,
      tier: certificate.tier,
      models: modelIds,
      registration: registration ?? null,
    });
  printTable([
    ["address", wallet.address],
    ["certificate", certificate.certHash],
    ["valid until", expiresAt],
    ["tier", String(certificate.tier)],
    ["models", modelIds.join(", ") || "none configured yet"],
    ["on chain", registration ? (registration.tx ?? "registered already") : "not registered (--register does it)"],
  ]);
}

async function registerOnChain(session: Session, wallet: Wallet, certificate: Certificate, models: string[]) {
  const registry = requireAddress(session.config, "node_registry_address");
  const { chain, sender, journal } = await openChainSession(session, wallet);
  try {
    const known = await isRegistered(chain, registry, wallet.address);
    const tx = known
      ? undefined
      : await registerNode(sender, registry, {
          tier: certificate.tier,
          certHash: certificate.certHash as `0x${string}`,
          expiresAt: certificate.expiry,
          models,
        });
    updateConfigFile(session.config.dir, { registered_on_chain: true });
    return { registered: true, tx: tx ?? null, link: tx ? (transactionLink(chain, tx) ?? null) : null };
  } finally {
    journal.close();
  }
}
