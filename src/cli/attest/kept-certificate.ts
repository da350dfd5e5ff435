import * as z from "zod/mini";
import type { Config } from "../../config/load.ts";
import type { Certificate } from "../../icl/wire.ts";
import { systemClock, unixSeconds } from "../../lib/clock.ts";
import { rememberAttested } from "../../node/attested-models.ts";
import { jsonOrNothing } from "../../node/journal/facts.ts";
import { openJournal } from "../../node/journal/journal.ts";
import { noteOwnActivity } from "../../node/own-activity.ts";
import { journalPath } from "../session.ts";

/** What a certificate says about; config.json holds the certificate itself. */
type Attested = { certHash: string; tier: number; backend: string; models: string[] };

const attestedSchema = z.object({
  certHash: z.string(),
  tier: z.int(),
  backend: z.string(),
  models: z.array(z.string()),
});

const fact = "attest-command";
/** A certificate that ends sooner is not worth a registration, in seconds. */
const leastSecondsLeft = 600;

export type KeptCertificate = {
  config: Config;
  certificate: Certificate;
  /** All that the configuration offers. */
  models: string[];
  /** Those that the certificate names. */
  attested: string[];
  /** When, in milliseconds since the epoch by the coordinator's clock. */
  time: number;
};

/**
 * Remembers what was attested, so that an interrupted `attest --register` goes on with the registration, and `run` need not attest again.
 * @throws BlfError `JOURNAL_*`
 */
export function keepCertificate({ config, certificate, models, attested, time }: KeptCertificate): void {
  const { certHash, tier } = certificate;
  const kept: Attested = { certHash, tier, backend: config.attestation_backend, models };
  withJournal(config, (journal) => {
    journal.setFact(fact, JSON.stringify(kept));
    rememberAttested(journal, attested);
    noteOwnActivity(journal, time);
  });
}

/** The certificate of an earlier run, if it is still valid and says the same as a new one would. @throws BlfError `JOURNAL_*` */
export function keptCertificate(config: Config, models: string[]): Certificate | undefined {
  const { attestation_cert_hash: certHash, attestation_expiry: expiry } = config;
  if (certHash === "" || expiry - unixSeconds(systemClock) < leastSecondsLeft) return undefined;
  const text = withJournal(config, (journal) => journal.fact(fact));
  const { data } = z.safeParse(attestedSchema, jsonOrNothing(text));
  if (!data || data.certHash !== certHash || data.backend !== config.attestation_backend) return undefined;
  return data.models.join("\n") === models.join("\n") ? { certHash, expiry, tier: data.tier } : undefined;
}

function withJournal<T>(config: Config, action: (journal: ReturnType<typeof openJournal>) => T): T {
  const journal = openJournal(journalPath(config), systemClock);
  try {
    return action(journal);
  } finally {
    journal.close();
  }
}
