import type { Command } from "commander";
import * as z from "zod/mini";
import { createAttestor } from "../attestation/create.ts";
import { updateConfigFile } from "../config/save.ts";
import type { Certificate } from "../icl/wire.ts";
import { systemClock } from "../lib/clock.ts";
import { Secret } from "../lib/secret.ts";
import { advertisedModels } from "../node/advertised.ts";
import { attest } from "../node/attest.ts";
import { offeredModels } from "../node/models.ts";
import { coordinatorTime } from "../node/own-activity.ts";
import { keepCertificate, keptCertificate } from "./attest/kept-certificate.ts";
import { type RegistrationResult, registerOnChain } from "./attest/register.ts";
import { openSession } from "./session.ts";
import { interruptSignal } from "./ui/interrupt.ts";
import { printJson, printTable } from "./ui/io.ts";
import { openIcl, unlock } from "./wallet-session.ts";

type Options = {
  mock?: boolean;
  teeKey?: string;
  register?: boolean;
  yes?: boolean;
  json?: boolean;
  passwordStdin?: boolean;
};

/** The documents of `--json`, by command. */
export const outputs: Record<string, z.ZodMiniType> = {
  attest: z.strictObject({
    ok: z.literal(true),
    address: z.string(),
    certHash: z.string(),
    expiresAt: z.iso.datetime(),
    tier: z.int(),
    models: z.array(z.string()),
    /** Whether this is the certificate of an earlier run. */
    reused: z.boolean(),
    /** Null when nobody asked for it. */
    registration: z.nullable(
      z.strictObject({ registered: z.boolean(), tx: z.nullable(z.string()), link: z.nullable(z.string()) }),
    ),
  }),
};

export function register(program: Command): void {
  program
    .command("attest")
    .description("Prove to the coordinator what this node runs on, and get a certificate.")
    .option("--mock", "software attestation, tier 0, whatever the configuration says")
    .option("--tee-key <key>", "key of the mock attestation, as text (or MOCK_ATTESTATION_KEY)")
    .option("--register", "also register the node on chain (NodeRegistry), if it is not yet")
    .option("--no-register", "do not register on chain, and do not ask")
    .option("--yes", "register without asking, whatever it costs below max_fee_gwei")
    .option("--password-stdin", "read the keystore's password from standard input")
    .option("--json", "print one JSON document")
    .action(run);
}

async function run(options: Options): Promise<void> {
  const session = openSession({ flags: options.mock ? { attestation_backend: "mock" } : {} });
  const { config, secrets } = session;
  if (options.teeKey) secrets.mockAttestationKey = new Secret(options.teeKey);
  const wallet = await unlock(session, options);
  const models = offeredModels(config);
  const isTerminal = Boolean(process.stdin.isTTY && process.stderr.isTTY) && !options.json;
  const interrupt = interruptSignal();
  const { signal } = interrupt;
  try {
    // Only a registration that was interrupted goes on with what it has; whoever just attests wants to attest.
    const kept = options.register && !options.teeKey ? keptCertificate(config, models) : undefined;
    let certificate: Certificate;
    let attested = models;
    if (kept) certificate = kept;
    else {
      attested = await advertisedModels({ config, secrets, log: session.log, clock: systemClock, signal });
      const attestor = createAttestor(config.attestation_backend, secrets);
      const icl = openIcl(session, wallet);
      certificate = await attest({ icl, attestor, modelIds: attested, clock: systemClock, signal });
      updateConfigFile(config.dir, {
        attestation_cert_hash: certificate.certHash,
        attestation_expiry: certificate.expiry,
        tier: Math.min(certificate.tier, 2),
      });
      // It was answered: only the clocks' whole seconds are still uncertain.
      const time = coordinatorTime({ clock: systemClock, icl }) + 3000;
      keepCertificate({ config, certificate, models, attested, time });
    }
    const wanted =
      options.register ?? (isTerminal && !config.registered_on_chain && config.node_registry_address !== "");
    const agree = async (cost: string) => options.yes || !isTerminal || (await ask(`Register on chain for ${cost}?`));
    const registration = wanted
      ? await registerOnChain({ session, wallet, certificate, models, signal, agree })
      : undefined;
    const expiresAt = new Date(certificate.expiry * 1000).toISOString();
    if (options.json)
      return printJson({
        ok: true,
        address: wallet.address,
        certHash: certificate.certHash,
        expiresAt,
        tier: certificate.tier,
        models: attested,
        reused: kept !== undefined,
        registration: registration ?? null,
      });
    printTable([
      ["address", wallet.address],
      ["certificate", `${certificate.certHash}${kept ? ", of an earlier run and still valid" : ""}`],
      ["valid until", expiresAt],
      ["tier", String(certificate.tier)],
      ["models", attested.join(", ") || (models.length > 0 ? "none is fit now" : "none configured yet")],
      ["on chain", registrationText(registration, config.registered_on_chain)],
    ]);
  } finally {
    interrupt.clear();
  }
}

function registrationText(result: RegistrationResult | undefined, before: boolean): string {
  if (!result) return before ? "registered before" : "not registered (--register does it)";
  if (!result.registered) return "not registered: nothing was sent";
  return result.link ?? result.tx ?? "registered already";
}

async function ask(message: string): Promise<boolean> {
  const { confirm } = await import("@clack/prompts");
  return (await confirm({ message, output: process.stderr })) === true;
}
